// Bulk copies (the one-dimensional TMA): one thread moves a row between global and shared memory,
// and goes on. Copies of tensors are not here, nor copies that reduce.
//
// Addresses and bytes are multiples of 16. One thread issues; all lanes of a warp issuing would
// copy 32 times. Loads tell an mbarrier that they are complete; stores belong to the issuing
// thread's bulk groups, and only that thread can wait for them.
//
// Bulk copies run in the async proxy: fence.h says where a proxy fence is due. All are volatile
// with a memory clobber: what fills a buffer must stay before the copy out of it, and what reads it
// behind the wait for the copy into it.
#pragma once

#include <cstdint>

#include "ptx/cache_policy.h"
#include "ptx/operand.h"
#include "ptx/target.h"

namespace switchyard::ptx {

/// Copies `bytes` from global memory to shared memory of this block; completes as many bytes on
/// `barrier`, in the same block.
/// PTX:    cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes
///             [target], [source], bytes, [barrier];
///         cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.L2::cache_hint
///             [target], [source], bytes, [barrier], policy;
/// Needs:  PTX ISA 8.6, sm_90+
/// Source: PTX ISA manual, "cp.async.bulk"
template <L2Policy Policy = NoCachePolicy, Target kTarget = kThisTarget>
__device__ __forceinline__ void bulk_load(void* target,
                                          const void* source,
                                          std::uint32_t bytes,
                                          std::uint64_t* barrier,
                                          [[maybe_unused]] Policy policy = {}) {
  static_assert(kTarget.has(90), "bulk_load needs sm_90");
  const auto to = shared_address(target);
  const auto from = global_address(source);
  const auto counter = shared_address(barrier);
  if constexpr (kHasPolicy<Policy>) {
    asm volatile(
        "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes.L2::cache_hint"
        " [%0], [%1], %2, [%3], %4;"
        :
        : "r"(to), "l"(from), "r"(bytes), "r"(counter), "l"(policy.bits)
        : "memory");
  } else {
    asm volatile(
        "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        :
        : "r"(to), "l"(from), "r"(bytes), "r"(counter)
        : "memory");
  }
}

/// As bulk_load, in the spelling that older assemblers know. `target` and `barrier` are in the same
/// block of the cluster; shared_address names this one.
/// PTX:    cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes
///             [target], [source], bytes, [barrier];
///         cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint
///             [target], [source], bytes, [barrier], policy;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "cp.async.bulk"
template <L2Policy Policy = NoCachePolicy, Target kTarget = kThisTarget>
__device__ __forceinline__ void bulk_load_cluster(void* target,
                                                  const void* source,
                                                  std::uint32_t bytes,
                                                  std::uint64_t* barrier,
                                                  [[maybe_unused]] Policy policy = {}) {
  static_assert(kTarget.has(90), "bulk_load_cluster needs sm_90");
  const auto to = shared_address(target);
  const auto from = global_address(source);
  const auto counter = shared_address(barrier);
  if constexpr (kHasPolicy<Policy>) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
        " [%0], [%1], %2, [%3], %4;"
        :
        : "r"(to), "l"(from), "r"(bytes), "r"(counter), "l"(policy.bits)
        : "memory");
  } else {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        :
        : "r"(to), "l"(from), "r"(bytes), "r"(counter)
        : "memory");
  }
}

/// Copies `bytes` from shared memory of this block to global memory, a peer's too. The source may
/// change after bulk_wait_group_read; the copy can be released after bulk_wait_group and a proxy
/// fence.
/// PTX:    cp.async.bulk.global.shared::cta.bulk_group [target], [source], bytes;
///         cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint
///             [target], [source], bytes, policy;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "cp.async.bulk"
template <L2Policy Policy = NoCachePolicy, Target kTarget = kThisTarget>
__device__ __forceinline__ void bulk_store(void* target,
                                           const void* source,
                                           std::uint32_t bytes,
                                           [[maybe_unused]] Policy policy = {}) {
  static_assert(kTarget.has(90), "bulk_store needs sm_90");
  const auto to = global_address(target);
  const auto from = shared_address(source);
  if constexpr (kHasPolicy<Policy>) {
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint [%0], [%1], %2, %3;"
                 :
                 : "l"(to), "r"(from), "r"(bytes), "l"(policy.bits)
                 : "memory");
  } else {
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;"
                 :
                 : "l"(to), "r"(from), "r"(bytes)
                 : "memory");
  }
}

/// Closes a group over this thread's bulk stores since the last one.
/// PTX:    cp.async.bulk.commit_group;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "cp.async.bulk.commit_group"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ void bulk_commit_group() {
  static_assert(kTarget.has(90), "bulk_commit_group needs sm_90");
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/// Waits until at most the `kPending` newest groups of this thread are incomplete: the writes of
/// all others are made and visible to this thread.
/// PTX:    cp.async.bulk.wait_group pending;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "cp.async.bulk.wait_group"
template <int kPending, Target kTarget = kThisTarget>
__device__ __forceinline__ void bulk_wait_group() {
  static_assert(kTarget.has(90), "bulk_wait_group needs sm_90");
  asm volatile("cp.async.bulk.wait_group %0;" : : "n"(kPending) : "memory");
}

/// As bulk_wait_group, but only until the others have read their sources, which may then be filled
/// again. Says nothing about the writes.
/// PTX:    cp.async.bulk.wait_group.read pending;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "cp.async.bulk.wait_group"
template <int kPending, Target kTarget = kThisTarget>
__device__ __forceinline__ void bulk_wait_group_read() {
  static_assert(kTarget.has(90), "bulk_wait_group_read needs sm_90");
  asm volatile("cp.async.bulk.wait_group.read %0;" : : "n"(kPending) : "memory");
}

/// Brings `bytes` of global memory to L2. A hint: nobody can wait for it.
/// PTX:    cp.async.bulk.prefetch.L2.global [source], bytes;
///         cp.async.bulk.prefetch.L2.global.L2::cache_hint [source], bytes, policy;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "cp.async.bulk.prefetch"
template <L2Policy Policy = NoCachePolicy, Target kTarget = kThisTarget>
__device__ __forceinline__ void bulk_prefetch_l2(const void* source,
                                                 std::uint32_t bytes,
                                                 [[maybe_unused]] Policy policy = {}) {
  static_assert(kTarget.has(90), "bulk_prefetch_l2 needs sm_90");
  const auto from = global_address(source);
  if constexpr (kHasPolicy<Policy>) {
    asm volatile("cp.async.bulk.prefetch.L2.global.L2::cache_hint [%0], %1, %2;"
                 :
                 : "l"(from), "r"(bytes), "l"(policy.bits)
                 : "memory");
  } else {
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" : : "l"(from), "r"(bytes) : "memory");
  }
}

}  // namespace switchyard::ptx
