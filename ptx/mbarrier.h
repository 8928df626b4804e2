// Barriers in shared memory that count arrivals of threads and bytes of bulk loads. A barrier is a
// std::uint64_t in shared memory that only these functions touch.
//
// A phase completes when all arrivals and all expected bytes are in; the next begins at once. A
// waiter names the parity of the phase that it waits for: 0, 1, 0, ... from mbarrier_init on.
// Waiting is the caller's loop, which knows its deadline:
//   while (!mbarrier_try_wait_parity(barrier, parity)) { deadline and abort check }
//
// All are volatile with a memory clobber: an arrival publishes what came before it, a successful
// wait makes visible what the arrivals published, and bytes that a bulk load wrote, without further
// fence.
#pragma once

#include <cstdint>

#include "ptx/operand.h"
#include "ptx/target.h"

namespace switchyard::ptx {

/// Makes a barrier whose phases take `arrivals` arrivals. Others may use it after a barrier of the
/// block; bulk loads after fence_mbarrier_init.
/// PTX:    mbarrier.init.shared::cta.b64 [barrier], arrivals;
/// Needs:  PTX ISA 7.8, sm_80+
/// Source: PTX ISA manual, "mbarrier.init"
__device__ __forceinline__ void mbarrier_init(std::uint64_t* barrier, std::uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;"
               :
               : "r"(shared_address(barrier)), "r"(arrivals)
               : "memory");
}

/// Ends a barrier, so that its memory may hold something else.
/// PTX:    mbarrier.inval.shared::cta.b64 [barrier];
/// Needs:  PTX ISA 7.8, sm_80+
/// Source: PTX ISA manual, "mbarrier.inval"
__device__ __forceinline__ void mbarrier_inval(std::uint64_t* barrier) {
  asm volatile("mbarrier.inval.shared::cta.b64 [%0];" : : "r"(shared_address(barrier)) : "memory");
}

/// Makes this thread's mbarrier_init visible to the cluster and to bulk copies.
/// PTX:    fence.mbarrier_init.release.cluster;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "membar / fence"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ void fence_mbarrier_init() {
  static_assert(kTarget.has(90), "fence_mbarrier_init needs sm_90");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// Arrives once, with release: what this thread did before is visible to who waits for the phase.
/// PTX:    mbarrier.arrive.shared::cta.b64 _, [barrier];
/// Needs:  PTX ISA 7.8, sm_80+
/// Source: PTX ISA manual, "mbarrier.arrive"
__device__ __forceinline__ void mbarrier_arrive(std::uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];"
               :
               : "r"(shared_address(barrier))
               : "memory");
}

/// The phase expects `bytes` more bytes of bulk loads; then arrives once, with release.
/// PTX:    mbarrier.arrive.expect_tx.shared::cta.b64 _, [barrier], bytes;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "mbarrier.arrive"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ void mbarrier_arrive_expect_tx(std::uint64_t* barrier,
                                                          std::uint32_t bytes) {
  static_assert(kTarget.has(90), "mbarrier_arrive_expect_tx needs sm_90");
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
               :
               : "r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}

/// The phase expects `bytes` more bytes of bulk loads; no arrival. Orders nothing by itself.
/// PTX:    mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [barrier], bytes;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "mbarrier.expect_tx"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ void mbarrier_expect_tx(std::uint64_t* barrier, std::uint32_t bytes) {
  static_assert(kTarget.has(90), "mbarrier_expect_tx needs sm_90");
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;"
               :
               : "r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}

/// Whether the phase of `parity` is complete, looking once; if so, with acquire.
/// PTX:    mbarrier.test_wait.parity.shared::cta.b64 complete, [barrier], parity;
/// Needs:  PTX ISA 7.8, sm_80+
/// Source: PTX ISA manual, "mbarrier.test_wait / mbarrier.try_wait"
__device__ __forceinline__ bool mbarrier_test_wait_parity(std::uint64_t* barrier,
                                                          std::uint32_t parity) {
  std::uint32_t complete;
  asm volatile(
      "{\n"
      ".reg .pred complete;\n"
      "mbarrier.test_wait.parity.shared::cta.b64 complete, [%1], %2;\n"
      "selp.b32 %0, 1, 0, complete;\n"
      "}"
      : "=r"(complete)
      : "r"(shared_address(barrier)), "r"(parity)
      : "memory");
  return complete != 0;
}

/// Whether the phase of `parity` is complete, after a suspension of a length that the system
/// chooses if it is not; if so, with acquire.
/// PTX:    mbarrier.try_wait.parity.shared::cta.b64 complete, [barrier], parity;
/// Needs:  PTX ISA 7.8, sm_90+
/// Source: PTX ISA manual, "mbarrier.test_wait / mbarrier.try_wait"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ bool mbarrier_try_wait_parity(std::uint64_t* barrier,
                                                         std::uint32_t parity) {
  static_assert(kTarget.has(90), "mbarrier_try_wait_parity needs sm_90");
  std::uint32_t complete;
  asm volatile(
      "{\n"
      ".reg .pred complete;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 complete, [%1], %2;\n"
      "selp.b32 %0, 1, 0, complete;\n"
      "}"
      : "=r"(complete)
      : "r"(shared_address(barrier)), "r"(parity)
      : "memory");
  return complete != 0;
}

/// As mbarrier_try_wait_parity, with a suspension of `at_most_ns` nanoseconds: for a wait whose
/// deadline is near.
/// PTX:    mbarrier.try_wait.parity.shared::cta.b64 complete, [barrier], parity, at_most_ns;
/// Needs:  PTX ISA 7.8, sm_90+
/// Source: PTX ISA manual, "mbarrier.test_wait / mbarrier.try_wait"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ bool mbarrier_try_wait_parity_for(std::uint64_t* barrier,
                                                             std::uint32_t parity,
                                                             std::uint32_t at_most_ns) {
  static_assert(kTarget.has(90), "mbarrier_try_wait_parity_for needs sm_90");
  std::uint32_t complete;
  asm volatile(
      "{\n"
      ".reg .pred complete;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 complete, [%1], %2, %3;\n"
      "selp.b32 %0, 1, 0, complete;\n"
      "}"
      : "=r"(complete)
      : "r"(shared_address(barrier)), "r"(parity), "r"(at_most_ns)
      : "memory");
  return complete != 0;
}

}  // namespace switchyard::ptx
