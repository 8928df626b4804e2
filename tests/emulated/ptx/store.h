// In place of ptx/store.h: stores of rows and words, checked to be aligned and to lie where the
// test allows.
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
void store_aligned(void* target, const T& value) {
  if (reinterpret_cast<std::uintptr_t>(target) % sizeof(T) != 0) {
    throw emulated::EmulationError("a store that is not aligned to its size");
  }
  emulated::note_store(target, sizeof(T));
  std::memcpy(target, static_cast<const void*>(&value), sizeof(T));
}

}  // namespace detail

template <L1Hint kL1 = L1Hint::kNone, L2Policy Policy = NoCachePolicy>
void st_global_16(void* target, const uint4& v, Policy = {}) {
  detail::store_aligned(target, v);
}
template <L1Hint kL1 = L1Hint::kNone>
void st_global_4(void* target, std::uint32_t value) {
  detail::store_aligned(target, value);
}

}  // namespace switchyard::ptx
