// What tracing costs a step of a role: not compiled in, compiled in and off, and on. "Not compiled
// in" is the step itself, over a warp that counts no rows.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "benchmarks/micro/lone_dispatch.h"
#include "csrc/protocol/combine_accumulate.h"
#include "csrc/protocol/combine_announce.h"
#include "csrc/targets/host/row_ops.h"
#include "csrc/targets/host/traced_step.h"

namespace switchyard::bench {
namespace {

using protocol::Progress;

/// HostWarp with and without the counting of rows. Both are compiled here, so that the compiler
/// knows as much of the one as of the other; calls each, as HostWarp's are.
template <bool kCounts>
class CountingWarp : public host::HostWarp {
 public:
  using HostWarp::HostWarp;

  [[gnu::noinline]] void copy_row(std::byte* const* to,
                                  int num_dests,
                                  const std::byte* from,
                                  std::size_t bytes,
                                  protocol::CopyHint hint) {
    if constexpr (kCounts) {
      moved_.add(static_cast<std::uint64_t>(num_dests), bytes);
    }
    streamed_ = streamed_ || hint == protocol::CopyHint::kStream;
    host::copy_row(to, num_dests, from, bytes, hint);
  }
  [[gnu::noinline]] void reduce_rows(const protocol::Reduction& reduction,
                                     protocol::CopyHint hint,
                                     const protocol::Reduction* next) {
    if constexpr (kCounts) {
      moved_.add(static_cast<std::uint64_t>(reduction.num_terms),
                 std::uint64_t{reduction.num_elems} * dtype_bytes(reduction.dtype));
    }
    streamed_ = streamed_ || hint == protocol::CopyHint::kStream;
    host::reduce_rows(reduction, hint, next);
  }
  [[gnu::noinline]] void store_release(protocol::Word* to, protocol::Word value) {
    if (std::exchange(streamed_, false)) {
      host::stream_fence();
    }
    HostWarp::store_release(to, value);
  }
  [[nodiscard]] const protocol::MovedRows& moved() const { return moved_; }

 private:
  bool streamed_ = false;
  protocol::MovedRows moved_;
};

/// A role as workers hold it: behind a virtual call.
template <class W>
class AnyStep {
 public:
  AnyStep() = default;
  AnyStep(const AnyStep&) = delete;
  AnyStep& operator=(const AnyStep&) = delete;
  virtual ~AnyStep() = default;
  virtual Progress step(W& warp) = 0;
  [[nodiscard]] virtual const protocol::WaitPoint& wait() const = 0;
};

template <class Role, class W>
class Boxed final : public AnyStep<W> {
 public:
  template <class Args>
  explicit Boxed(const Args* args) : role_(args, 0) {}
  Progress step(W& warp) override { return role_.step(warp); }
  [[nodiscard]] const protocol::WaitPoint& wait() const override { return role_.wait(); }
  template <class Args>
  void restart(const Args* args) {
    role_ = Role(args, 0);
  }

 private:
  Role role_;
};

constexpr std::size_t kRingEvents = 8192;

struct NotCompiledIn {
  using Warp = CountingWarp<false>;
  Progress step(AnyStep<Warp>& role, Warp& warp) { return role.step(warp); }
};

template <bool kOn>
struct CompiledIn {
  using Warp = CountingWarp<true>;
  std::vector<protocol::TraceRecord> records =
      std::vector<protocol::TraceRecord>(kOn ? kRingEvents : 0);
  protocol::TraceRing ring{records.data(), records.size(), 0};
  protocol::RoleTrace trace{protocol::RoleKind::kScaleUpSend, 0, 1};

  Progress step(AnyStep<Warp>& role, Warp& warp) {
    return host::traced_step(role, warp, ring, trace);
  }
};

template <class Role, class Runner, class Args>
void step_again_and_again(benchmark::State& state, HostWorld& world, const Args* args) {
  typename Runner::Warp warp(world.peers(0), world.control(), world.arena(0));
  Runner runner;
  Boxed<Role, typename Runner::Warp> role(args);
  benchmark::DoNotOptimize(&role);
  for (auto _ : state) {
    if (runner.step(role, warp) == Progress::kDone) {
      role.restart(args);
    }
  }
}

/// Config::chunk_tokens tokens of `hidden` elements.
template <class Runner>
void send_step(benchmark::State& state) {
  LoneDispatch dispatch(4096, 8, Layout::kRankMajor, static_cast<int>(state.range(0)));
  step_again_and_again<protocol::ScaleUpSend, Runner>(
      state, dispatch.world(), &dispatch.operation().args);
}

/// Config::chunk_tokens sums of 8 rows of `hidden` elements.
template <class Runner>
void accumulate_step(benchmark::State& state) {
  const auto hidden = static_cast<int>(state.range(0));
  LoneDispatch dispatch(1024, 8, Layout::kExpertMajor, hidden);
  dispatch.land();
  HostWorld& world = dispatch.world();
  const auto& handle = dispatch.operation().handle;
  CombineRequest request;
  request.x = {
      world.peers(0).local(dispatch.operation().region), DType::kBf16, {handle->num_rows, hidden}};
  const auto operation = runtime::make_combine(world.context(0, 2), request, handle);
  protocol::CombineAnnounce announce(&operation->args);
  while (operation->flags.placed == 0) {
    announce.step(world.warp(0));
  }
  step_again_and_again<protocol::CombineAccumulate, Runner>(state, world, &operation->args);
}

/// A look that finds nothing new: what a waiting role costs.
template <class Runner>
void blocked_step(benchmark::State& state) {
  LoneDispatch dispatch(64, 8, Layout::kRankMajor, 8);
  dispatch.operation().flags.placed = 0;
  step_again_and_again<protocol::ScaleUpSend, Runner>(
      state, dispatch.world(), &dispatch.operation().args);
}

using Off = CompiledIn<false>;
using On = CompiledIn<true>;
#define SY_BENCHMARK_RUNNERS(name)                                                            \
  BENCHMARK_TEMPLATE(name, NotCompiledIn)->Arg(64)->Arg(7168)->Unit(benchmark::kMicrosecond); \
  BENCHMARK_TEMPLATE(name, Off)->Arg(64)->Arg(7168)->Unit(benchmark::kMicrosecond);           \
  BENCHMARK_TEMPLATE(name, On)->Arg(64)->Arg(7168)->Unit(benchmark::kMicrosecond)
SY_BENCHMARK_RUNNERS(send_step);
SY_BENCHMARK_RUNNERS(accumulate_step);
#undef SY_BENCHMARK_RUNNERS
BENCHMARK_TEMPLATE(blocked_step, NotCompiledIn);
BENCHMARK_TEMPLATE(blocked_step, Off);
BENCHMARK_TEMPLATE(blocked_step, On);

}  // namespace
}  // namespace switchyard::bench
