// Rows copied by the bulk-copy engine: one load into shared memory, one store for each destination,
// several parts under way. One lane drives it; for sm_90 and later.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/targets/cuda/cache_hints.h"
#include "csrc/targets/cuda/warp_memory.h"
#include "ptx/bulk_copy.h"
#include "ptx/mbarrier.h"

namespace switchyard::cuda {

/// Called by: one lane, always the same, unless said otherwise: bulk groups belong to a thread.
template <class Hints>
class CopyRing {
 public:
  __device__ CopyRing(WarpMemory* memory, typename Hints::Policy policy)
      : memory_(memory), policy_(policy) {}

  /// Before anything else; the warp meets afterwards.
  __device__ void prepare() {
    for (int stage = 0; stage < kCopyStages; ++stage) {
      ptx::mbarrier_init(&memory_->copy_arrived[stage], 1);
    }
  }

  /// Copies src[0, bytes) to `num` places. Returns while the last parts are under way: src stays
  /// unchanged until complete().
  /// Shapes: bytes and all addresses multiples of 16
  __device__ void copy(std::byte* const* dests,
                       int num,
                       const std::byte* src,
                       std::uint32_t bytes) {
    for (std::uint32_t offset = 0; offset < bytes; offset += kCopyStageBytes) {
      const std::uint32_t left = bytes - offset;
      load_part(dests, num, src, offset, left < kCopyStageBytes ? left : kCopyStageBytes);
    }
  }

  /// A stage for the warp to fill itself; give it away with store_stage().
  __device__ std::byte* free_stage() {
    store_loaded();
    ptx::bulk_wait_group_read<kCopyStages - 1>();
    return stage(loaded_);
  }

  /// Stores what the warp has written into the stage from free_stage(), once it has met and fenced
  /// for the bulk-copy engine.
  __device__ void store_stage(std::byte* const* dests,
                              int num,
                              std::uint32_t offset,
                              std::uint32_t bytes) {
    for (int i = 0; i < num; ++i) {
      ptx::bulk_store(dests[i] + offset, stage(loaded_), bytes, policy_);
    }
    ptx::bulk_commit_group();
    ++loaded_;  // without a load: the stage's barrier has not turned
    stored_ = loaded_;
  }

  /// Every byte is at its destinations, for whoever this thread tells by a release behind a proxy
  /// fence.
  __device__ void complete() {
    store_loaded();
    ptx::bulk_wait_group<0>();
  }

 private:
  __device__ std::byte* stage(std::uint32_t part) const {
    return memory_->rows + (part % kCopyStages) * kCopyStageBytes;
  }

  __device__ void load_part(std::byte* const* dests,
                            int num,
                            const std::byte* src,
                            std::uint32_t offset,
                            std::uint32_t bytes) {
    if (loaded_ - stored_ == kCopyLoads) {
      store_part();
    }
    // Groups committed after the one that last read this stage: the other stages' minus those that
    // still load.
    ptx::bulk_wait_group_read<kCopyStages - kCopyLoads>();
    const std::uint32_t idx = loaded_ % kCopyStages;
    for (int i = 0; i < num; ++i) {
      memory_->copy_dests[idx][i] = dests[i] + offset;
    }
    memory_->copy_num_dests[idx] = num;
    memory_->copy_bytes[idx] = bytes;
    std::uint64_t* arrived = &memory_->copy_arrived[idx];
    ptx::mbarrier_arrive_expect_tx(arrived, bytes);
    ptx::bulk_load(stage(loaded_), src + offset, bytes, arrived, policy_);
    ++loaded_;
  }

  /// Waits for the oldest part and stores it everywhere.
  __device__ void store_part() {
    const std::uint32_t idx = stored_ % kCopyStages;
    while (!ptx::mbarrier_try_wait_parity(&memory_->copy_arrived[idx], (turned_ >> idx) & 1U)) {
    }
    turned_ ^= 1U << idx;
    const std::uint32_t bytes = memory_->copy_bytes[idx];
    for (int i = 0; i < memory_->copy_num_dests[idx]; ++i) {
      ptx::bulk_store(memory_->copy_dests[idx][i], stage(stored_), bytes, policy_);
    }
    ptx::bulk_commit_group();
    ++stored_;
  }

  __device__ void store_loaded() {
    while (stored_ != loaded_) {
      store_part();
    }
  }

  WarpMemory* memory_;
  typename Hints::Policy policy_;
  std::uint32_t loaded_ = 0;  // parts whose load has begun
  std::uint32_t stored_ = 0;  // of them, parts whose stores have begun
  std::uint32_t turned_ = 0;  // by stage: parity of its barrier
};

}  // namespace switchyard::cuda
