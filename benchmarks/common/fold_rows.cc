// XOR of rows, line by line, compiled once per instruction set: each row is read once, the result
// stays in registers and is written once past the caches.
#include "benchmarks/common/fold_rows.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "benchmarks/common/fold_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace switchyard::bench::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kLineBytes = 64;
// How far ahead rows are fetched: what csrc/targets/host/reduce_rows.cc measured to be best, so
// that a sum has no advantage over its roof.
constexpr std::size_t kPrefetchBytes = 8192;
constexpr std::size_t kMaxPrefetchBytesPerRow = 4096;

// Folds [begin, end) in vectors of `du`; dst + begin is aligned to them.
template <class DU>
HWY_INLINE void fold_range(DU du,
                           const Fold& fold,
                           const std::byte* const* rows,
                           std::size_t num_rows,
                           std::size_t begin,
                           std::size_t end) {
  for (std::size_t offset = begin; offset < end; offset += hn::Lanes(du) * sizeof(std::uint32_t)) {
    auto folded = hn::Zero(du);
    for (std::size_t i = 0; i < num_rows; ++i) {
      const auto words = hn::LoadU(du, reinterpret_cast<const std::uint32_t*>(rows[i] + offset));
      folded = hn::Xor(folded, words);
    }
    hn::Stream(folded, du, reinterpret_cast<std::uint32_t*>(fold.dst + offset));
  }
}

HWY_INLINE void prefetch_at(const Fold& fold, const Fold* next, std::size_t offset) {
  if (offset < fold.bytes) {
    for (std::size_t i = 0; i < fold.num_rows; ++i) {
      hwy::Prefetch(fold.rows[i] + offset);
    }
  } else if (next != nullptr) {
    for (std::size_t i = 0; i < next->num_rows; ++i) {
      hwy::Prefetch(next->rows[i] + (offset - fold.bytes));
    }
  }
}

// kNumRows rows have code of their own; 0: as many as fold.num_rows says. 16-byte steps until lines
// are aligned, whole lines, 16-byte steps again.
template <std::size_t kNumRows>
void fold_known(const Fold fold, const Fold* next) {
  const hn::CappedTag<std::uint32_t, kLineBytes / sizeof(std::uint32_t)> wide;
  const hn::CappedTag<std::uint32_t, 4> granule;
  const std::size_t num_rows = kNumRows == 0 ? fold.num_rows : kNumRows;
  // A copy in a local array of known length: the compiler keeps it in registers.
  const std::byte* known_rows[kNumRows == 0 ? 1 : kNumRows];
  for (std::size_t i = 0; i < kNumRows; ++i) {
    known_rows[i] = fold.rows[i];
  }
  const std::byte* const* const rows = kNumRows == 0 ? fold.rows : known_rows;
  const std::size_t distance =
      std::min(kPrefetchBytes / std::max<std::size_t>(num_rows, 1), kMaxPrefetchBytesPerRow);
  const std::size_t misaligned = (0 - reinterpret_cast<std::uintptr_t>(fold.dst)) % kLineBytes;
  const std::size_t head = std::min(misaligned, fold.bytes);
  const std::size_t lines_end = head + (fold.bytes - head) / kLineBytes * kLineBytes;
  fold_range(granule, fold, rows, num_rows, 0, head);
  for (std::size_t begin = head; begin < lines_end; begin += kLineBytes) {
    prefetch_at(fold, next, begin + distance);
    fold_range(wide, fold, rows, num_rows, begin, begin + kLineBytes);
  }
  fold_range(granule, fold, rows, num_rows, lines_end, fold.bytes);
}

void fold_rows_impl(const Fold& fold, const Fold* next) {
  switch (fold.num_rows) {
    case 1:
      return fold_known<1>(fold, next);
    case 2:
      return fold_known<2>(fold, next);
    case 3:
      return fold_known<3>(fold, next);
    case 4:
      return fold_known<4>(fold, next);
    case 5:
      return fold_known<5>(fold, next);
    case 6:
      return fold_known<6>(fold, next);
    case 7:
      return fold_known<7>(fold, next);
    case 8:
      return fold_known<8>(fold, next);
    default:
      return fold_known<0>(fold, next);
  }
}

}  // namespace switchyard::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace switchyard::bench {

HWY_EXPORT(fold_rows_impl);

void fold_rows(const Fold& fold, const Fold* next) {
  HWY_DYNAMIC_DISPATCH(fold_rows_impl)(fold, next);
}

}  // namespace switchyard::bench
#endif  // HWY_ONCE
