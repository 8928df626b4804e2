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

/// `dst` is aligned to the vector. A constant `stream` leaves no branch behind.
template <class DU>
HWY_INLINE void store_words(DU du, hn::Vec<DU> words, std::byte* dst, bool stream) {
  auto* aligned = reinterpret_cast<std::uint32_t*>(dst);
  if (stream) {
    hn::Stream(words, du, aligned);
  } else {
    hn::Store(words, du, aligned);
  }
}

/// Half-open range of byte offsets into a row.
struct Range {
  std::size_t begin;
  std::size_t end;
};

/// Writes `range` of dst with words_at(tag, offset), the words at `offset` as a vector of `tag`.
/// Both ends lie whole vectors of `du` from each other, and dst + begin is aligned to them.
template <class DU, class WordsAt>
HWY_INLINE void store_range(
    DU du, std::byte* dst, Range range, bool stream, const WordsAt& words_at) {
  for (std::size_t offset = range.begin; offset < range.end; offset += vector_bytes(du)) {
    store_words(du, words_at(du, offset), dst + offset, stream);
  }
}

/// Whole cache lines: a streaming store that fills its line at once goes to memory without reading
/// it first. More where one vector is longer than that.
HWY_INLINE std::size_t line_bytes() {
  return std::max<std::size_t>(64, vector_bytes(WordTag()));
}

/// The part of a row [0, bytes) whose lines are whole at `dst`; granules lie before and after it.
HWY_INLINE Range whole_lines(const std::byte* dst, std::size_t bytes) {
  const std::size_t line = line_bytes();
  const std::size_t misaligned = (0 - reinterpret_cast<std::uintptr_t>(dst)) % line;
  const std::size_t begin = std::min(misaligned, bytes);
  return {begin, begin + (bytes - begin) / line * line};
}

}  // namespace switchyard::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
