// Operations of ranks that share one process and one thread, for benchmarks that step single roles
// over HostWarp: no workers, no bells to sleep on.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "csrc/memory/arena.h"
#include "csrc/protocol/control_block.h"
#include "csrc/runtime/operation.h"
#include "csrc/targets/host/host_warp.h"

namespace switchyard::bench {

class HostWorld {
 public:
  HostWorld(int num_ranks, int max_experts, std::uint64_t heap_bytes) {
    config_.max_experts = max_experts;
    config_.heap_bytes = heap_bytes;
    control_.num_ranks = static_cast<std::uint32_t>(num_ranks);
    control_.num_slots = 2 * static_cast<std::uint32_t>(config_.max_in_flight);
    control_.max_experts_per_rank =
        static_cast<std::uint32_t>((max_experts + num_ranks - 1) / num_ranks);
    bytes_ = static_cast<std::size_t>(num_ranks) * heap_bytes;
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::bad_alloc();
    }
    memory_ = static_cast<std::byte*>(memory);
    for (int rank = 0; rank < num_ranks; ++rank) {
      arenas_.push_back(std::make_unique<memory::Arena>(control_.block_bytes(), heap_bytes));
      warps_.emplace_back(peers(rank), control_, *arenas_.back());
    }
  }
  HostWorld(const HostWorld&) = delete;
  HostWorld& operator=(const HostWorld&) = delete;
  ~HostWorld() { munmap(memory_, bytes_); }

  [[nodiscard]] protocol::Peers peers(int rank) const {
    return {memory_, config_.heap_bytes, rank, static_cast<std::int32_t>(control_.num_ranks)};
  }
  [[nodiscard]] const protocol::ControlLayout& control() const { return control_; }
  [[nodiscard]] host::HostWarp& warp(int rank) { return warps_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] memory::Arena& arena(int rank) { return *arenas_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] runtime::OperationContext context(int rank, std::uint64_t epoch) const {
    runtime::OperationContext context;
    context.buffer_id = 1;
    context.config = &config_;
    context.heap_bytes = config_.heap_bytes;
    context.op.peers = peers(rank);
    context.op.control = control_;
    context.epoch = epoch;
    context.op.epoch = protocol::epoch_tag(epoch, control_.num_slots);
    return context;
  }

 private:
  Config config_;
  protocol::ControlLayout control_;
  std::size_t bytes_ = 0;
  std::byte* memory_ = nullptr;
  std::vector<std::unique_ptr<memory::Arena>> arenas_;
  std::vector<host::HostWarp> warps_;
};

/// Steps a role to its end; the caller knows that nothing it waits for is missing.
template <class Role>
void run_to_end(Role& role, host::HostWarp& warp) {
  while (role.step(warp) != protocol::Progress::kDone) {
  }
}

}  // namespace switchyard::bench
