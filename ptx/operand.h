// How C++ values become operands of PTX: addresses of a state space, words of 32 or 64 bits. No
// instruction lives here.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace switchyard::ptx {

/// What the instructions of memory_order.h and atomic.h work on. One template serves both widths;
/// the assembler sees .b32 or .b64.
template <class T>
concept Word = std::unsigned_integral<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

/// The address of global memory (this GPU's or, mapped, a peer's or the host's), for "l" operands.
__device__ __forceinline__ std::size_t global_address(const void* generic) {
  return __cvta_generic_to_global(generic);
}

/// The address of this block's shared memory, for "r" operands: shared addresses have 32 bits. It
/// is valid as shared::cta and as shared::cluster address.
__device__ __forceinline__ std::uint32_t shared_address(const void* generic) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(generic));
}

}  // namespace switchyard::ptx
