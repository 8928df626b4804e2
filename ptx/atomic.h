// Atomic read-modify-writes of words in global memory: red_* without, atom_* with the old value.
// Plain acquire, release and relaxed accesses are in memory_order.h.
//
// The scope is the set of threads that the order and the atomicity hold with: gpu, or sys (peers
// and host too). Words that peers touch need sys: a gpu-scoped addition may lose one of theirs.
// volatile and the memory clobber keep the order at compile time, and additions of equal values
// apart.
#pragma once

#include <cstdint>
#include <type_traits>

#include "ptx/operand.h"

namespace switchyard::ptx {

/// Adds; everything before it is visible to who on this GPU acquires the sum.
/// PTX:    red.release.gpu.global.add.u32 [address], value;
///         red.release.gpu.global.add.u64 [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "red"
template <Word W>
__device__ __forceinline__ void red_add_release_gpu(W* target, std::type_identity_t<W> value) {
  if constexpr (sizeof(W) == 4) {
    asm volatile("red.release.gpu.global.add.u32 [%0], %1;"
                 :
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("red.release.gpu.global.add.u64 [%0], %1;"
                 :
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
}

/// Adds; everything before it is visible to whoever acquires the sum, a peer too.
/// PTX:    red.release.sys.global.add.u32 [address], value;
///         red.release.sys.global.add.u64 [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "red"
template <Word W>
__device__ __forceinline__ void red_add_release_sys(W* target, std::type_identity_t<W> value) {
  if constexpr (sizeof(W) == 4) {
    asm volatile("red.release.sys.global.add.u32 [%0], %1;"
                 :
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("red.release.sys.global.add.u64 [%0], %1;"
                 :
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
}

/// Adds, among threads of this GPU; orders nothing else.
/// PTX:    red.relaxed.gpu.global.add.u32 [address], value;
///         red.relaxed.gpu.global.add.u64 [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "red"
template <Word W>
__device__ __forceinline__ void red_add_relaxed_gpu(W* target, std::type_identity_t<W> value) {
  if constexpr (sizeof(W) == 4) {
    asm volatile("red.relaxed.gpu.global.add.u32 [%0], %1;"
                 :
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("red.relaxed.gpu.global.add.u64 [%0], %1;"
                 :
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
}

/// Adds, among all threads of the system; orders nothing else.
/// PTX:    red.relaxed.sys.global.add.u32 [address], value;
///         red.relaxed.sys.global.add.u64 [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "red"
template <Word W>
__device__ __forceinline__ void red_add_relaxed_sys(W* target, std::type_identity_t<W> value) {
  if constexpr (sizeof(W) == 4) {
    asm volatile("red.relaxed.sys.global.add.u32 [%0], %1;"
                 :
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("red.relaxed.sys.global.add.u64 [%0], %1;"
                 :
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
}

/// Adds and returns the old value, among threads of this GPU; orders nothing else.
/// PTX:    atom.relaxed.gpu.global.add.u32 old, [address], value;
///         atom.relaxed.gpu.global.add.u64 old, [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "atom"
template <Word W>
__device__ __forceinline__ W atom_add_relaxed_gpu(W* target, std::type_identity_t<W> value) {
  W old;
  if constexpr (sizeof(W) == 4) {
    asm volatile("atom.relaxed.gpu.global.add.u32 %0, [%1], %2;"
                 : "=r"(old)
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("atom.relaxed.gpu.global.add.u64 %0, [%1], %2;"
                 : "=l"(old)
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
  return old;
}

/// Adds and returns the old value, among all threads; orders nothing else.
/// PTX:    atom.relaxed.sys.global.add.u32 old, [address], value;
///         atom.relaxed.sys.global.add.u64 old, [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "atom"
template <Word W>
__device__ __forceinline__ W atom_add_relaxed_sys(W* target, std::type_identity_t<W> value) {
  W old;
  if constexpr (sizeof(W) == 4) {
    asm volatile("atom.relaxed.sys.global.add.u32 %0, [%1], %2;"
                 : "=r"(old)
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("atom.relaxed.sys.global.add.u64 %0, [%1], %2;"
                 : "=l"(old)
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
  return old;
}

/// Adds and returns the old value; acquires and releases, on this GPU.
/// PTX:    atom.acq_rel.gpu.global.add.u32 old, [address], value;
///         atom.acq_rel.gpu.global.add.u64 old, [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "atom"
template <Word W>
__device__ __forceinline__ W atom_add_acq_rel_gpu(W* target, std::type_identity_t<W> value) {
  W old;
  if constexpr (sizeof(W) == 4) {
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
                 : "=r"(old)
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("atom.acq_rel.gpu.global.add.u64 %0, [%1], %2;"
                 : "=l"(old)
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
  return old;
}

/// Adds and returns the old value; acquires and releases, for all threads.
/// PTX:    atom.acq_rel.sys.global.add.u32 old, [address], value;
///         atom.acq_rel.sys.global.add.u64 old, [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "atom"
template <Word W>
__device__ __forceinline__ W atom_add_acq_rel_sys(W* target, std::type_identity_t<W> value) {
  W old;
  if constexpr (sizeof(W) == 4) {
    asm volatile("atom.acq_rel.sys.global.add.u32 %0, [%1], %2;"
                 : "=r"(old)
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("atom.acq_rel.sys.global.add.u64 %0, [%1], %2;"
                 : "=l"(old)
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
  return old;
}

/// Replaces the word and returns the old one; acquires and releases, for all threads.
/// PTX:    atom.acq_rel.sys.global.exch.b32 old, [address], value;
///         atom.acq_rel.sys.global.exch.b64 old, [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "atom"
template <Word W>
__device__ __forceinline__ W atom_exch_acq_rel_sys(W* target, std::type_identity_t<W> value) {
  W old;
  if constexpr (sizeof(W) == 4) {
    asm volatile("atom.acq_rel.sys.global.exch.b32 %0, [%1], %2;"
                 : "=r"(old)
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("atom.acq_rel.sys.global.exch.b64 %0, [%1], %2;"
                 : "=l"(old)
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
  return old;
}

/// Stores `desired` where `expected` lay, returns what lay there; acquires and releases, on
/// this GPU.
/// PTX:    atom.acq_rel.gpu.global.cas.b32 old, [address], expected, desired;
///         atom.acq_rel.gpu.global.cas.b64 old, [address], expected, desired;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "atom"
template <Word W>
__device__ __forceinline__ W atom_cas_acq_rel_gpu(W* target,
                                                  std::type_identity_t<W> expected,
                                                  std::type_identity_t<W> desired) {
  W old;
  if constexpr (sizeof(W) == 4) {
    asm volatile("atom.acq_rel.gpu.global.cas.b32 %0, [%1], %2, %3;"
                 : "=r"(old)
                 : "l"(global_address(target)), "r"(expected), "r"(desired)
                 : "memory");
  } else {
    asm volatile("atom.acq_rel.gpu.global.cas.b64 %0, [%1], %2, %3;"
                 : "=l"(old)
                 : "l"(global_address(target)), "l"(expected), "l"(desired)
                 : "memory");
  }
  return old;
}

/// Stores `desired` where `expected` lay, returns what lay there; acquires and releases, for
/// all threads.
/// PTX:    atom.acq_rel.sys.global.cas.b32 old, [address], expected, desired;
///         atom.acq_rel.sys.global.cas.b64 old, [address], expected, desired;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "atom"
template <Word W>
__device__ __forceinline__ W atom_cas_acq_rel_sys(W* target,
                                                  std::type_identity_t<W> expected,
                                                  std::type_identity_t<W> desired) {
  W old;
  if constexpr (sizeof(W) == 4) {
    asm volatile("atom.acq_rel.sys.global.cas.b32 %0, [%1], %2, %3;"
                 : "=r"(old)
                 : "l"(global_address(target)), "r"(expected), "r"(desired)
                 : "memory");
  } else {
    asm volatile("atom.acq_rel.sys.global.cas.b64 %0, [%1], %2, %3;"
                 : "=l"(old)
                 : "l"(global_address(target)), "l"(expected), "l"(desired)
                 : "memory");
  }
  return old;
}

}  // namespace switchyard::ptx
