#include "tests/emulated/support/emulated_device.h"

#include <cstring>
#include <new>
#include <utility>

#include "csrc/protocol/control_block.h"
#include "tests/emulated/device/error.h"

namespace switchyard::emulated {
namespace {

constexpr std::align_val_t kBlockAlignment{256};
constexpr int kFresh = 0xa5;
constexpr int kReleased = 0x5a;

}  // namespace

void await_turn(World& machine) {
  if (machine.failed()) {
    throw EmulationError("another body of the machine has failed");
  }
  machine.tick();
  machine.pass();
}

EmulatedDevice::~EmulatedDevice() {
  while (!blocks_.empty()) {
    free(blocks_.begin()->first);
  }
}

void EmulatedDevice::run_queue() {
  for (;;) {
    if (!queue_.empty()) {
      const std::function<void()> work = std::move(queue_.front());
      queue_.pop_front();
      work();
      ++num_done_;
    } else if (closed_) {
      return;
    } else {
      await_turn(machine_);
    }
  }
}

void EmulatedDevice::enqueue(std::function<void()> work) {
  if (recording_) {
    recording_->push_back(std::move(work));
    return;
  }
  queue_.push_back(std::move(work));
  ++num_enqueued_;
}

EmulatedDevice::Graph EmulatedDevice::end_recording() {
  Graph graph = std::move(*recording_);
  recording_.reset();
  return graph;
}

void EmulatedDevice::launch_graph(const Graph& graph) {
  for (const std::function<void()>& work : graph) {
    enqueue(work);
  }
}

void EmulatedDevice::refuse_while_recording(const char* call) const {
  if (recording_) {
    throw EmulationError(options_.name + ": " + call + " while a graph is recorded");
  }
}

std::unique_ptr<memory::SymmetricHeap> EmulatedDevice::create_heap(
    Bootstrap& bootstrap, const memory::HeapOptions& options) {
  auto heap = memory::SymmetricHeap::create(bootstrap, options);
  const protocol::Peers peers = heap->peers();
  machine_.is_exempt = [peers](const void* word) {
    const int rank = peers.rank_of(word);
    return rank >= 0 && word == peers.at(rank, protocol::ControlLayout{}.error_record());
  };
  return heap;
}

std::byte* EmulatedDevice::allocate(std::uint64_t bytes) {
  auto* memory = static_cast<std::byte*>(::operator new(bytes, kBlockAlignment));
  std::memset(memory, kFresh, bytes);
  blocks_.emplace(memory, bytes);
  return memory;
}

void EmulatedDevice::release(std::byte* memory) noexcept {
  if (closed_) {
    free(memory);
  } else {  // of no graph, even while one is recorded
    queue_.push_back([this, memory] { free(memory); });
    ++num_enqueued_;
  }
}

void EmulatedDevice::free(std::byte* memory) noexcept {
  const auto block = blocks_.find(memory);
  std::memset(memory, kReleased, block->second);
  blocks_.erase(block);
  ::operator delete(memory, kBlockAlignment);
}

std::byte* EmulatedDevice::allocate_host(std::uint64_t bytes) {
  std::byte* memory = allocate(bytes);
  std::memset(memory, 0, bytes);
  return memory;
}

void EmulatedDevice::release_host(std::byte* memory) noexcept {
  release(memory);
}

void EmulatedDevice::write(std::byte* to, const void* from, std::uint64_t bytes) {
  wait(mark());
  std::memcpy(to, from, bytes);
}

void EmulatedDevice::read(void* to, const std::byte* from, std::uint64_t bytes) {
  wait(mark());
  std::memcpy(to, from, bytes);
}

/// Hosts do all by themselves here: what they have filled is there.
void EmulatedDevice::wait_for(void*) {}
void EmulatedDevice::let_wait(void*) {}
void EmulatedDevice::wait_for_event(void*) {}

/// An event is a number here: how many times it was recorded.
void EmulatedDevice::set_event(void* event) {
  enqueue([event] { ++*static_cast<int*>(event); });
}

bool EmulatedDevice::is_recording(void*) {
  return recording_.has_value();
}

void EmulatedDevice::pack_rows(const targets::RowBlock& rows, std::byte* to) {
  enqueue([rows, to] {
    for (std::uint64_t row = 0; row < rows.num_rows; ++row) {
      std::memcpy(to + row * rows.row_bytes, rows.data + row * rows.stride_bytes, rows.row_bytes);
    }
  });
}

void EmulatedDevice::enqueue_kernel(std::function<void()> kernel) {
  ++num_launched_;
  enqueue([this, kernel = std::move(kernel)] {
    kernel();
    ++num_ended_;
  });
}

void EmulatedDevice::let_pass(std::uint64_t ns) {
  const std::uint64_t until = now_ns() + ns;
  while (now_ns() < until) {
    await_turn(machine_);
  }
}

void EmulatedDevice::launch(const cuda::RouteArgs& args) {
  enqueue_kernel([this, args] { emulated::launch(machine_, args, options_.name + " route"); });
}

void EmulatedDevice::launch(const cuda::DispatchLaunch& launch) {
  enqueue_kernel([this, launch] {
    emulated::launch(machine_, launch, options_.kernels, options_.name + " dispatch");
  });
}

void EmulatedDevice::launch(const cuda::CombineLaunch& launch) {
  enqueue_kernel([this, launch] {
    emulated::launch(machine_, launch, options_.kernels, options_.name + " combine");
  });
}

targets::Mark EmulatedDevice::mark() {
  refuse_while_recording("mark");
  return std::make_shared<std::uint64_t>(num_enqueued_);
}

bool EmulatedDevice::reached(const targets::Mark& mark) {
  refuse_while_recording("reached");
  return num_done_ >= *static_cast<const std::uint64_t*>(mark.get());
}

void EmulatedDevice::wait(const targets::Mark& mark) {
  refuse_while_recording("wait");
  while (!reached(mark)) {
    await_turn(machine_);
  }
}

std::uint64_t EmulatedDevice::identity() const {
  return reinterpret_cast<std::uintptr_t>(&machine_);
}

}  // namespace switchyard::emulated
