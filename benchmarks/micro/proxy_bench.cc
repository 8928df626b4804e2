// What the proxy costs: commands a second on one core (pushed, popped, posted over inproc, their
// completions written back), from a push to the peer's counter, and for each chunk of a track.
#include <benchmark/benchmark.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "csrc/transport/inproc/inproc.h"
#include "csrc/transport/proxy.h"
#include "csrc/transport/proxy_thread.h"

namespace switchyard::bench {
namespace {

using transport::Command;
using transport::CommandFifo;
using transport::CommandKind;
using transport::CommandPusher;
using transport::Completion;
using transport::Proxy;

constexpr std::uint64_t kFifoCapacity = 256;
constexpr std::uint64_t kRegionBytes = std::uint64_t{16} << 20U;
constexpr std::uint64_t kCounter = 0;
constexpr std::uint64_t kSource = 4096;
constexpr std::uint64_t kTarget = kRegionBytes / 2;
constexpr std::uint64_t kRound = 32;

/// One rank that sends to itself over inproc: a proxy, one FIFO, one track.
class LoneProxy {
 public:
  LoneProxy()
      : bootstrap_(std::move(make_in_process_bootstraps(1).front())),
        region_(kRegionBytes / 64),
        fifo_memory_(CommandFifo::bytes(kFifoCapacity) / 64),
        end_(transport::make_inproc_transport(*bootstrap_)) {
    const int own = end_->register_region(std::as_writable_bytes(std::span(region_)));
    const int attached = end_->attach_region(0, end_->region_key(own));
    const int track = end_->open_track({.peer = 0, .region_idx = own, .attached_idx = attached});
    const CommandFifo fifo{reinterpret_cast<std::byte*>(fifo_memory_.data()), kFifoCapacity};
    pusher_.fifo = fifo;
    proxy_ = std::make_unique<Proxy>(
        Proxy::Wiring{.transport = end_.get(),
                      .fifos = {fifo},
                      .tracks = {{.track = track, .peer = 0}},
                      .completions = completion_,
                      .on_fault = [](const transport::ProxyFault&) { std::abort(); }},
        transport::ProxyOptions{});
  }

  Proxy& proxy() { return *proxy_; }
  bool push(const Command& command) { return pusher_.try_push(host_, command); }
  [[nodiscard]] std::byte* region() { return reinterpret_cast<std::byte*>(region_.data()); }
  [[nodiscard]] std::uint64_t counter() {
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(region()))
        .load(std::memory_order_acquire);
  }

 private:
  struct alignas(64) Line {
    std::byte bytes[64]{};
  };
  std::unique_ptr<Bootstrap> bootstrap_;
  std::vector<Line> region_;
  std::vector<Line> fifo_memory_;
  std::vector<Completion> completion_ = std::vector<Completion>(1);
  std::unique_ptr<transport::Transport> end_;
  CommandPusher pusher_;
  transport::HostFifoMemory host_;
  std::unique_ptr<Proxy> proxy_;
};

Command signal_of(std::uint64_t value) {
  return {.kind = CommandKind::kSignal, .remote_offset = kCounter, .value = value};
}

/// `kRound` commands from `make` are pushed and carried out in one go, all on this core.
template <class Make>
void carry_rounds(benchmark::State& state, const Make& make) {
  LoneProxy lone;
  std::uint64_t count = 0;
  for (auto _ : state) {
    for (std::uint64_t idx = 0; idx < kRound; ++idx) {
      lone.push(make(count++));
    }
    while (lone.proxy().counters().commands != count) {
      lone.proxy().step();
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(count));
  state.counters["postings"] =
      static_cast<double>(lone.proxy().counters().postings) / static_cast<double>(count);
}

void commands_signals(benchmark::State& state) {
  carry_rounds(state, signal_of);
}

/// 16 bytes each, none the neighbour of the one before.
void commands_puts(benchmark::State& state) {
  carry_rounds(state, [](std::uint64_t count) {
    const std::uint64_t place = count * 48 % 32'768;
    return Command{.remote_offset = kTarget + place, .local_offset = kSource + place, .bytes = 16};
  });
}

/// 16 bytes each, each the neighbour of the one before.
void commands_neighbours(benchmark::State& state) {
  carry_rounds(state, [](std::uint64_t count) {
    const std::uint64_t place = count * 16 % 32'768;
    return Command{.remote_offset = kTarget + place, .local_offset = kSource + place, .bytes = 16};
  });
}

/// A chunk is a put and its signal, as a sending role pushes it.
void chunk(benchmark::State& state) {
  LoneProxy lone;
  const auto bytes = static_cast<std::uint64_t>(state.range(0));
  std::uint64_t count = 0;
  for (auto _ : state) {
    lone.push({.remote_offset = kTarget, .local_offset = kSource, .bytes = bytes});
    lone.push(signal_of(++count));
    while (lone.counter() != count) {
      lone.proxy().step();
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(count * bytes));
}

/// What a chunk costs without proxy and transport.
void chunk_bare(benchmark::State& state) {
  LoneProxy lone;
  const auto bytes = static_cast<std::uint64_t>(state.range(0));
  std::uint64_t count = 0;
  std::uint64_t counter = 0;
  for (auto _ : state) {
    std::memcpy(lone.region() + kTarget, lone.region() + kSource, bytes);
    std::atomic_ref<std::uint64_t>(counter).store(++count, std::memory_order_release);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(count * bytes));
}

/// Keeps the calling thread to core 0 while it lives.
class OnCoreZero {
 public:
  OnCoreZero() {
    ::sched_getaffinity(0, sizeof(before_), &before_);
    cpu_set_t core_zero;
    CPU_ZERO(&core_zero);
    CPU_SET(0, &core_zero);
    ::sched_setaffinity(0, sizeof(core_zero), &core_zero);
  }
  OnCoreZero(const OnCoreZero&) = delete;
  OnCoreZero& operator=(const OnCoreZero&) = delete;
  ~OnCoreZero() { ::sched_setaffinity(0, sizeof(before_), &before_); }

 private:
  cpu_set_t before_{};
};

/// From a push on core 0 to the counter that a proxy on core 1 has written. Where others use these
/// cores, too, it measures the scheduler.
void push_to_post(benchmark::State& state) {
  if (std::thread::hardware_concurrency() < 2) {
    state.SkipWithError("needs two cores");
    return;
  }
  const OnCoreZero pinned;
  LoneProxy lone;
  const transport::ProxyThread thread(lone.proxy(), {.cpu = 1, .spin_rounds = 1 << 30});
  std::vector<double> times_ns;
  std::uint64_t count = 0;
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    lone.push(signal_of(++count));
    while (lone.counter() != count) {
    }
    times_ns.push_back(
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count());
  }
  std::sort(times_ns.begin(), times_ns.end());
  state.counters["p50_ns"] = times_ns[times_ns.size() / 2];
  state.counters["p99_ns"] = times_ns[times_ns.size() * 99 / 100];
}

BENCHMARK(commands_signals);
BENCHMARK(commands_puts);
BENCHMARK(commands_neighbours);
BENCHMARK(chunk)->Arg(0)->Arg(4096)->Arg(65'536)->Arg(1 << 20);
BENCHMARK(chunk_bare)->Arg(0)->Arg(4096)->Arg(65'536)->Arg(1 << 20);
BENCHMARK(push_to_post)->UseRealTime();

}  // namespace
}  // namespace switchyard::bench
