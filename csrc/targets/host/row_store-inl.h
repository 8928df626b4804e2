// Walks a destination row in vectors, once per instruction set: 16-byte granules until full vectors
// are aligned, full vectors, granules again; never a byte outside of the row. Included by the .cc
// files under hwy/foreach_target.h, hence the guard that toggles in place of #pragma once.
#if defined(SWITCHYARD_TARGETS_HOST_ROW_STORE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SWITCHYARD_TARGETS_HOST_ROW_STORE_INL_H_
#undef SWITCHYARD_TARGETS_HOST_ROW_STORE_INL_H_
#else
#define SWITCHYARD_TARGETS_HOST_ROW_STORE_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace switchyard::host::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Row data moves as 32-bit words whatever its element type.
using WordTag = hn::ScalableTag<std::uint32_t>;
/// Covers 16 bytes, the granule of rows; one word at a time where vectors have one lane.
using GranuleTag = hn::CappedTag<std::uint32_t, 4>;

template <class DU>
HWY_INLINE std::size_t vector_bytes(DU du) {
  return hn::Lanes(du) * sizeof(std::uint32_t);
}

template <class DU>
HWY_INLINE hn::Vec<DU> load_words(DU du, const std::byte* src) {
  return hn::LoadU(du, reinterpret_cast<const std::uint32_t*>(src));
}

/// `dst` is aligned to the vector.
template <bool kStream, class DU>
HWY_INLINE void store_words(DU du, hn::Vec<DU> words, std::byte* dst) {
  auto* aligned = reinterpret_cast<std::uint32_t*>(dst);
  if constexpr (kStream) {
    hn::Stream(words, du, aligned);
  } else {
    hn::Store(words, du, aligned);
  }
}

/// Writes dst[begin, end) with compute(tag, offset) in vectors of `du`; both bounds are multiples
/// of the vector.
template <bool kStream, class DU, class Compute>
HWY_INLINE void store_range(
    DU du, std::byte* dst, std::size_t begin, std::size_t end, const Compute& compute) {
  for (std::size_t offset = begin; offset < end; offset += vector_bytes(du)) {
    store_words<kStream>(du, compute(du, offset), dst + offset);
  }
}

/// Writes the row dst[0, bytes) with compute(tag, offset): the words at `offset` as a vector of
/// `tag`. Shapes: dst 16-byte aligned, bytes a multiple of 16
template <bool kStream, class Compute>
HWY_INLINE void store_row(std::byte* dst, std::size_t bytes, const Compute& compute) {
  const WordTag du;
  const std::size_t step = vector_bytes(du);
  const std::size_t misaligned = (0 - reinterpret_cast<std::uintptr_t>(dst)) % step;
  const std::size_t head = std::min(misaligned, bytes);
  const std::size_t body_end = head + (bytes - head) / step * step;
  store_range<kStream>(GranuleTag(), dst, 0, head, compute);
  store_range<kStream>(du, dst, head, body_end, compute);
  store_range<kStream>(GranuleTag(), dst, body_end, bytes, compute);
}

}  // namespace switchyard::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
