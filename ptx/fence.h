// Fences: between threads by scope, and between the generic proxy (ordinary loads and stores) and
// the async proxy (bulk copies). The fence behind mbarrier_init is in mbarrier.h.
//
// A bulk copy is not ordered with ordinary accesses by release and acquire alone. Whoever mixes
// them needs a proxy fence on each side where the proxy changes:
//   written by ordinary stores, then copied from by this thread   fence between the two
//   written by a bulk store, then released to others              wait for it, fence, release
//   acquired from others, then a bulk copy reads or overwrites    acquire, fence, bulk copy
// All are volatile with a memory clobber: a fence that the compiler moves accesses across is none.
#pragma once

#include "ptx/target.h"

namespace switchyard::ptx {

/// Orders everything before it before everything behind it, for threads of this block.
/// PTX:    fence.acq_rel.cta;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "membar / fence"
__device__ __forceinline__ void fence_acq_rel_cta() {
  asm volatile("fence.acq_rel.cta;" ::: "memory");
}

/// Orders everything before it before everything behind it, for threads of this GPU.
/// PTX:    fence.acq_rel.gpu;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "membar / fence"
__device__ __forceinline__ void fence_acq_rel_gpu() {
  asm volatile("fence.acq_rel.gpu;" ::: "memory");
}

/// Orders everything before it before everything behind it, for peers and host too.
/// PTX:    fence.acq_rel.sys;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "membar / fence"
__device__ __forceinline__ void fence_acq_rel_sys() {
  asm volatile("fence.acq_rel.sys;" ::: "memory");
}

/// As fence_acq_rel_gpu, and all such fences have one order: an earlier store is seen before a
/// later load of another word (two threads that each raise a flag and look at the other's).
/// PTX:    fence.sc.gpu;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "membar / fence"
__device__ __forceinline__ void fence_sc_gpu() {
  asm volatile("fence.sc.gpu;" ::: "memory");
}

/// As fence_sc_gpu, for peers and host too.
/// PTX:    fence.sc.sys;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "membar / fence"
__device__ __forceinline__ void fence_sc_sys() {
  asm volatile("fence.sc.sys;" ::: "memory");
}

/// Orders this thread's ordinary accesses and bulk copies, of all memory, in both directions.
/// PTX:    fence.proxy.async;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "membar / fence", "Proxies"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ void fence_proxy_async() {
  static_assert(kTarget.has(90), "fence_proxy_async needs sm_90");
  asm volatile("fence.proxy.async;" ::: "memory");
}

/// As fence_proxy_async, for global memory.
/// PTX:    fence.proxy.async.global;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "membar / fence", "Proxies"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ void fence_proxy_async_global() {
  static_assert(kTarget.has(90), "fence_proxy_async_global needs sm_90");
  asm volatile("fence.proxy.async.global;" ::: "memory");
}

/// As fence_proxy_async, for this block's shared memory: between filling a buffer by ordinary
/// stores and bulk_store from it.
/// PTX:    fence.proxy.async.shared::cta;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "membar / fence", "Proxies"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ void fence_proxy_async_shared() {
  static_assert(kTarget.has(90), "fence_proxy_async_shared needs sm_90");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

}  // namespace switchyard::ptx
