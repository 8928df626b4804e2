// Stores of rows and of the small words beside them, with cache hints. Stores that publish
// (release, relaxed) are in memory_order.h, bulk copies in bulk_copy.h.
//
// All are weak: a peer sees them after a release of this thread, or of one that a barrier of the
// block ordered behind it. volatile and the clobber keep them before that release, and behind
// loads that may be of the same memory.
#pragma once

#include <cstdint>

#include "ptx/cache_policy.h"
#include "ptx/operand.h"

namespace switchyard::ptx {

/// Stores 16 bytes; 16-byte aligned.
/// PTX:    st.global.v4.b32 [address], {x, y, z, w};
///         st.global.L1::no_allocate.v4.b32 [address], {x, y, z, w};
///         st.global.L2::cache_hint.v4.b32 [address], {x, y, z, w}, policy;
///         st.global.L1::no_allocate.L2::cache_hint.v4.b32 [address], {x, y, z, w}, policy;
/// Needs:  PTX ISA 7.4, sm_80+
/// Source: PTX ISA manual, "st"
template <L1Hint kL1 = L1Hint::kNone, L2Policy Policy = NoCachePolicy>
__device__ __forceinline__ void st_global_16(void* target,
                                             const uint4& v,
                                             [[maybe_unused]] Policy policy = {}) {
  const auto address = global_address(target);
  if constexpr (kL1 == L1Hint::kNone && !kHasPolicy<Policy>) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};"
                 :
                 : "l"(address), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
  } else if constexpr (!kHasPolicy<Policy>) {
    asm volatile("st.global.L1::no_allocate.v4.b32 [%0], {%1, %2, %3, %4};"
                 :
                 : "l"(address), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
  } else if constexpr (kL1 == L1Hint::kNone) {
    asm volatile("st.global.L2::cache_hint.v4.b32 [%0], {%1, %2, %3, %4}, %5;"
                 :
                 : "l"(address), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w), "l"(policy.bits)
                 : "memory");
  } else {
    asm volatile("st.global.L1::no_allocate.L2::cache_hint.v4.b32 [%0], {%1, %2, %3, %4}, %5;"
                 :
                 : "l"(address), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w), "l"(policy.bits)
                 : "memory");
  }
}

/// Stores 4 bytes; 4-byte aligned.
/// PTX:    st.global.b32 [address], value;
///         st.global.L1::no_allocate.b32 [address], value;
/// Needs:  PTX ISA 7.4, sm_70+
/// Source: PTX ISA manual, "st"
template <L1Hint kL1 = L1Hint::kNone>
__device__ __forceinline__ void st_global_4(void* target, std::uint32_t value) {
  const auto address = global_address(target);
  if constexpr (kL1 == L1Hint::kNone) {
    asm volatile("st.global.b32 [%0], %1;" : : "l"(address), "r"(value) : "memory");
  } else {
    asm volatile("st.global.L1::no_allocate.b32 [%0], %1;" : : "l"(address), "r"(value) : "memory");
  }
}

}  // namespace switchyard::ptx
