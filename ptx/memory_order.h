// Words that carry order: acquire and relaxed loads, release and relaxed stores, by scope. Loads
// and stores of rows are in load.h and store.h, read-modify-writes in atomic.h, fences in fence.h.
//
// The scope is the set of threads that the order holds with: cta (this block), gpu, sys (peers,
// host, network card). _gpu and _sys take global memory, _cta global or shared.
//
// Every one is volatile with a memory clobber, relaxed ones too: an acquire must stay before later
// accesses and a release behind earlier ones, and a poll must load each time. What each release
// pairs with belongs at its call.
#pragma once

#include <cstdint>
#include <type_traits>

#include "ptx/operand.h"

namespace switchyard::ptx {

/// Loads a word; what a thread of this block released to it is visible afterwards.
/// PTX:    ld.acquire.cta.b32 value, [address];
///         ld.acquire.cta.b64 value, [address];
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "ld"
template <Word W>
__device__ __forceinline__ W ld_acquire_cta(const W* source) {
  W value;
  if constexpr (sizeof(W) == 4) {
    asm volatile("ld.acquire.cta.b32 %0, [%1];" : "=r"(value) : "l"(source) : "memory");
  } else {
    asm volatile("ld.acquire.cta.b64 %0, [%1];" : "=l"(value) : "l"(source) : "memory");
  }
  return value;
}

/// Loads a word; what a thread of this GPU released to it is visible afterwards.
/// PTX:    ld.acquire.gpu.global.b32 value, [address];
///         ld.acquire.gpu.global.b64 value, [address];
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "ld"
template <Word W>
__device__ __forceinline__ W ld_acquire_gpu(const W* source) {
  W value;
  if constexpr (sizeof(W) == 4) {
    asm volatile("ld.acquire.gpu.global.b32 %0, [%1];"
                 : "=r"(value)
                 : "l"(global_address(source))
                 : "memory");
  } else {
    asm volatile("ld.acquire.gpu.global.b64 %0, [%1];"
                 : "=l"(value)
                 : "l"(global_address(source))
                 : "memory");
  }
  return value;
}

/// Loads a word; what anyone, a peer or the host too, released to it is visible afterwards.
/// PTX:    ld.acquire.sys.global.b32 value, [address];
///         ld.acquire.sys.global.b64 value, [address];
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "ld"
template <Word W>
__device__ __forceinline__ W ld_acquire_sys(const W* source) {
  W value;
  if constexpr (sizeof(W) == 4) {
    asm volatile("ld.acquire.sys.global.b32 %0, [%1];"
                 : "=r"(value)
                 : "l"(global_address(source))
                 : "memory");
  } else {
    asm volatile("ld.acquire.sys.global.b64 %0, [%1];"
                 : "=l"(value)
                 : "l"(global_address(source))
                 : "memory");
  }
  return value;
}

/// Loads a word that threads of this GPU write; orders nothing else.
/// PTX:    ld.relaxed.gpu.global.b32 value, [address];
///         ld.relaxed.gpu.global.b64 value, [address];
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "ld"
template <Word W>
__device__ __forceinline__ W ld_relaxed_gpu(const W* source) {
  W value;
  if constexpr (sizeof(W) == 4) {
    asm volatile("ld.relaxed.gpu.global.b32 %0, [%1];"
                 : "=r"(value)
                 : "l"(global_address(source))
                 : "memory");
  } else {
    asm volatile("ld.relaxed.gpu.global.b64 %0, [%1];"
                 : "=l"(value)
                 : "l"(global_address(source))
                 : "memory");
  }
  return value;
}

/// Loads a word that anyone writes; orders nothing else.
/// PTX:    ld.relaxed.sys.global.b32 value, [address];
///         ld.relaxed.sys.global.b64 value, [address];
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "ld"
template <Word W>
__device__ __forceinline__ W ld_relaxed_sys(const W* source) {
  W value;
  if constexpr (sizeof(W) == 4) {
    asm volatile("ld.relaxed.sys.global.b32 %0, [%1];"
                 : "=r"(value)
                 : "l"(global_address(source))
                 : "memory");
  } else {
    asm volatile("ld.relaxed.sys.global.b64 %0, [%1];"
                 : "=l"(value)
                 : "l"(global_address(source))
                 : "memory");
  }
  return value;
}

/// Stores a word; everything before it is visible to who in this block acquires it.
/// PTX:    st.release.cta.b32 [address], value;
///         st.release.cta.b64 [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "st"
template <Word W>
__device__ __forceinline__ void st_release_cta(W* target, std::type_identity_t<W> value) {
  if constexpr (sizeof(W) == 4) {
    asm volatile("st.release.cta.b32 [%0], %1;" : : "l"(target), "r"(value) : "memory");
  } else {
    asm volatile("st.release.cta.b64 [%0], %1;" : : "l"(target), "l"(value) : "memory");
  }
}

/// Stores a word; everything before it is visible to who on this GPU acquires it.
/// PTX:    st.release.gpu.global.b32 [address], value;
///         st.release.gpu.global.b64 [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "st"
template <Word W>
__device__ __forceinline__ void st_release_gpu(W* target, std::type_identity_t<W> value) {
  if constexpr (sizeof(W) == 4) {
    asm volatile("st.release.gpu.global.b32 [%0], %1;"
                 :
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("st.release.gpu.global.b64 [%0], %1;"
                 :
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
}

/// Stores a word; everything before it is visible to whoever acquires it, a peer too.
/// PTX:    st.release.sys.global.b32 [address], value;
///         st.release.sys.global.b64 [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "st"
template <Word W>
__device__ __forceinline__ void st_release_sys(W* target, std::type_identity_t<W> value) {
  if constexpr (sizeof(W) == 4) {
    asm volatile("st.release.sys.global.b32 [%0], %1;"
                 :
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("st.release.sys.global.b64 [%0], %1;"
                 :
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
}

/// Stores two words of 16 aligned bytes at once, each a release as st_release_sys; a reader may see
/// them one after the other, in either order.
/// PTX:    st.release.sys.global.v2.b64 [address], {first, second};
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "st"; memory consistency model, "Vector Data-types"
__device__ __forceinline__ void st_release_sys_16(void* target,
                                                  std::uint64_t first,
                                                  std::uint64_t second) {
  asm volatile("st.release.sys.global.v2.b64 [%0], {%1, %2};"
               :
               : "l"(global_address(target)), "l"(first), "l"(second)
               : "memory");
}

/// Stores a word that threads of this GPU read; orders nothing else.
/// PTX:    st.relaxed.gpu.global.b32 [address], value;
///         st.relaxed.gpu.global.b64 [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "st"
template <Word W>
__device__ __forceinline__ void st_relaxed_gpu(W* target, std::type_identity_t<W> value) {
  if constexpr (sizeof(W) == 4) {
    asm volatile("st.relaxed.gpu.global.b32 [%0], %1;"
                 :
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("st.relaxed.gpu.global.b64 [%0], %1;"
                 :
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
}

/// Stores a word that anyone reads; orders nothing else.
/// PTX:    st.relaxed.sys.global.b32 [address], value;
///         st.relaxed.sys.global.b64 [address], value;
/// Needs:  PTX ISA 6.0, sm_70+
/// Source: PTX ISA manual, "st"
template <Word W>
__device__ __forceinline__ void st_relaxed_sys(W* target, std::type_identity_t<W> value) {
  if constexpr (sizeof(W) == 4) {
    asm volatile("st.relaxed.sys.global.b32 [%0], %1;"
                 :
                 : "l"(global_address(target)), "r"(value)
                 : "memory");
  } else {
    asm volatile("st.relaxed.sys.global.b64 [%0], %1;"
                 :
                 : "l"(global_address(target)), "l"(value)
                 : "memory");
  }
}

}  // namespace switchyard::ptx
