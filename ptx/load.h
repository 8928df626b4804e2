// Loads of rows and of the small words beside them, with cache hints. Loads that take part in an
// order (acquire, relaxed) of single words are in memory_order.h, bulk copies in bulk_copy.h.
//
// ld_global_nc_* is for memory that NOBODY writes while the kernel runs: inputs of the operation.
// Rows that a peer or another SM writes during the kernel must be read by ld_global_*, after the
// acquire that they were published to; the .nc path may return what the line held before.
#pragma once

#include <cstdint>

#include "ptx/cache_policy.h"
#include "ptx/operand.h"

namespace switchyard::ptx {

// Neither volatile nor a memory clobber here: what no one writes may be loaded early or once.

/// Loads 16 bytes that stay unchanged while the kernel runs; 16-byte aligned.
/// PTX:    ld.global.nc.v4.b32 {x, y, z, w}, [address];
///         ld.global.nc.L1::no_allocate.v4.b32 {x, y, z, w}, [address];
///         ld.global.nc.L2::cache_hint.v4.b32 {x, y, z, w}, [address], policy;
///         ld.global.nc.L1::no_allocate.L2::cache_hint.v4.b32 {x, y, z, w}, [address], policy;
/// Needs:  PTX ISA 7.4, sm_80+
/// Source: PTX ISA manual, "ld.global.nc"
template <L1Hint kL1 = L1Hint::kNone, L2Policy Policy = NoCachePolicy>
__device__ __forceinline__ uint4 ld_global_nc_16(const void* source,
                                                 [[maybe_unused]] Policy policy = {}) {
  uint4 v;
  const auto address = global_address(source);
  if constexpr (kL1 == L1Hint::kNone && !kHasPolicy<Policy>) {
    asm("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];"
        : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
        : "l"(address));
  } else if constexpr (!kHasPolicy<Policy>) {
    asm("ld.global.nc.L1::no_allocate.v4.b32 {%0, %1, %2, %3}, [%4];"
        : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
        : "l"(address));
  } else if constexpr (kL1 == L1Hint::kNone) {
    asm("ld.global.nc.L2::cache_hint.v4.b32 {%0, %1, %2, %3}, [%4], %5;"
        : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
        : "l"(address), "l"(policy.bits));
  } else {
    asm("ld.global.nc.L1::no_allocate.L2::cache_hint.v4.b32 {%0, %1, %2, %3}, [%4], %5;"
        : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
        : "l"(address), "l"(policy.bits));
  }
  return v;
}

/// Loads 4 bytes that stay unchanged while the kernel runs; 4-byte aligned.
/// PTX:    ld.global.nc.b32 value, [address];
///         ld.global.nc.L1::no_allocate.b32 value, [address];
/// Needs:  PTX ISA 7.4, sm_70+
/// Source: PTX ISA manual, "ld.global.nc"
template <L1Hint kL1 = L1Hint::kNone>
__device__ __forceinline__ std::uint32_t ld_global_nc_4(const void* source) {
  std::uint32_t value;
  const auto address = global_address(source);
  if constexpr (kL1 == L1Hint::kNone) {
    asm("ld.global.nc.b32 %0, [%1];" : "=r"(value) : "l"(address));
  } else {
    asm("ld.global.nc.L1::no_allocate.b32 %0, [%1];" : "=r"(value) : "l"(address));
  }
  return value;
}

// From here on others write the memory during the kernel: volatile and the clobber keep a load
// behind the acquire before it (without them the compiler may hoist it), and behind own stores.

/// Loads 16 bytes in ordinary (weak) order: after an acquire, what that acquire made visible;
/// 16-byte aligned.
/// PTX:    ld.global.v4.b32 {x, y, z, w}, [address];
///         ld.global.L1::no_allocate.v4.b32 {x, y, z, w}, [address];
///         ld.global.L2::cache_hint.v4.b32 {x, y, z, w}, [address], policy;
///         ld.global.L1::no_allocate.L2::cache_hint.v4.b32 {x, y, z, w}, [address], policy;
/// Needs:  PTX ISA 7.4, sm_80+
/// Source: PTX ISA manual, "ld"
template <L1Hint kL1 = L1Hint::kNone, L2Policy Policy = NoCachePolicy>
__device__ __forceinline__ uint4 ld_global_16(const void* source,
                                              [[maybe_unused]] Policy policy = {}) {
  uint4 v;
  const auto address = global_address(source);
  if constexpr (kL1 == L1Hint::kNone && !kHasPolicy<Policy>) {
    asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(address)
                 : "memory");
  } else if constexpr (!kHasPolicy<Policy>) {
    asm volatile("ld.global.L1::no_allocate.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(address)
                 : "memory");
  } else if constexpr (kL1 == L1Hint::kNone) {
    asm volatile("ld.global.L2::cache_hint.v4.b32 {%0, %1, %2, %3}, [%4], %5;"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(address), "l"(policy.bits)
                 : "memory");
  } else {
    asm volatile("ld.global.L1::no_allocate.L2::cache_hint.v4.b32 {%0, %1, %2, %3}, [%4], %5;"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(address), "l"(policy.bits)
                 : "memory");
  }
  return v;
}

/// Loads 4 bytes in ordinary (weak) order; 4-byte aligned.
/// PTX:    ld.global.b32 value, [address];
///         ld.global.L1::no_allocate.b32 value, [address];
/// Needs:  PTX ISA 7.4, sm_70+
/// Source: PTX ISA manual, "ld"
template <L1Hint kL1 = L1Hint::kNone>
__device__ __forceinline__ std::uint32_t ld_global_4(const void* source) {
  std::uint32_t value;
  const auto address = global_address(source);
  if constexpr (kL1 == L1Hint::kNone) {
    asm volatile("ld.global.b32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  } else {
    asm volatile("ld.global.L1::no_allocate.b32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
  }
  return value;
}

// Relaxed vectors: each of the four words is one atomic access, the vector is not, and no order
// holds between them. For polling several flag-in-data words of 32 bits at once.

/// Loads four words of 32 bits that threads of this GPU write meanwhile; 16-byte aligned.
/// PTX:    ld.relaxed.gpu.global.v4.b32 {x, y, z, w}, [address];
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "ld"
__device__ __forceinline__ uint4 ld_relaxed_gpu_16(const void* source) {
  uint4 v;
  asm volatile("ld.relaxed.gpu.global.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(global_address(source))
               : "memory");
  return v;
}

/// Loads four words of 32 bits that anyone, peers and host too, writes meanwhile; 16-byte aligned.
/// PTX:    ld.relaxed.sys.global.v4.b32 {x, y, z, w}, [address];
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "ld"
__device__ __forceinline__ uint4 ld_relaxed_sys_16(const void* source) {
  uint4 v;
  asm volatile("ld.relaxed.sys.global.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(global_address(source))
               : "memory");
  return v;
}

}  // namespace switchyard::ptx
