// In place of ptx/load.h: loads of rows and words, checked to be aligned.
#pragma once

#include <cstdint>
#include <cstring>

#include "ptx/cache_policy.h"
#include "ptx/operand.h"
#include "tests/emulated/device/error.h"
#include "tests/emulated/device/lane.h"

namespace switchyard::ptx {

namespace detail {

template <class T>
T load_aligned(const void* source) {
  if (reinterpret_cast<std::uintptr_t>(source) % sizeof(T) != 0) {
    throw emulated::EmulationError("a load that is not aligned to its size");
  }
  emulated::maybe_yield();
  T value;
  std::memcpy(static_cast<void*>(&value), source, sizeof(value));
  return value;
}

}  // namespace detail

template <L1Hint kL1 = L1Hint::kNone, L2Policy Policy = NoCachePolicy>
uint4 ld_global_nc_16(const void* source, Policy = {}) {
  return detail::load_aligned<uint4>(source);
}
template <L1Hint kL1 = L1Hint::kNone>
std::uint32_t ld_global_nc_4(const void* source) {
  return detail::load_aligned<std::uint32_t>(source);
}
template <L1Hint kL1 = L1Hint::kNone, L2Policy Policy = NoCachePolicy>
uint4 ld_global_16(const void* source, Policy = {}) {
  return detail::load_aligned<uint4>(source);
}
template <L1Hint kL1 = L1Hint::kNone>
std::uint32_t ld_global_4(const void* source) {
  return detail::load_aligned<std::uint32_t>(source);
}
inline uint4 ld_relaxed_gpu_16(const void* source) {
  return detail::load_aligned<uint4>(source);
}
inline uint4 ld_relaxed_sys_16(const void* source) {
  return detail::load_aligned<uint4>(source);
}

}  // namespace switchyard::ptx
