// XOR of rows, vector by vector, compiled once per instruction set: each row is read once, the
// result stays in registers and is written once past the caches.
#include "benchmarks/common/fold_rows.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "benchmarks/common/fold_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/cache_control.h"
#include "hwy/highway.h"

#ifndef SWITCHYARD_BENCHMARKS_COMMON_FOLD_ROWS_ONCE_
#define SWITCHYARD_BENCHMARKS_COMMON_FOLD_ROWS_ONCE_
namespace switchyard::bench {

struct FoldArgs {
  std::byte* dst;
  const std::byte* const* rows;
  std::size_t num_rows;
  std::size_t bytes;
};

}  // namespace switchyard::bench
#endif  // SWITCHYARD_BENCHMARKS_COMMON_FOLD_ROWS_ONCE_

HWY_BEFORE_NAMESPACE();
namespace switchyard::bench::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Folds [begin, end) in vectors of `du`; dst + begin is aligned to them. kNumRows rows have code of
// their own; 0: as many as num_rows says.
template <std::size_t kNumRows, class DU>
HWY_INLINE void fold_range(DU du, const FoldArgs& args, std::size_t begin, std::size_t end) {
  const std::size_t num_rows = kNumRows == 0 ? args.num_rows : kNumRows;
  // A copy in a local array of known length: the compiler keeps it in registers.
  const std::byte* rows[kNumRows == 0 ? 1 : kNumRows];
  for (std::size_t i = 0; i < kNumRows; ++i) {
    rows[i] = args.rows[i];
  }
  const std::byte* const* const sources = kNumRows == 0 ? args.rows : rows;
  for (std::size_t offset = begin; offset < end; offset += hn::Lanes(du) * sizeof(std::uint32_t)) {
    auto folded = hn::Zero(du);
    for (std::size_t i = 0; i < num_rows; ++i) {
      const auto words = hn::LoadU(du, reinterpret_cast<const std::uint32_t*>(sources[i] + offset));
      folded = hn::Xor(folded, words);
    }
    hn::Stream(folded, du, reinterpret_cast<std::uint32_t*>(args.dst + offset));
  }
}

// 16-byte steps until full vectors are aligned, full vectors, 16-byte steps again.
template <std::size_t kNumRows>
void fold(const FoldArgs& args) {
  const hn::ScalableTag<std::uint32_t> wide;
  const hn::CappedTag<std::uint32_t, 4> granule;
  const std::size_t step = hn::Lanes(wide) * sizeof(std::uint32_t);
  const std::size_t misaligned = (0 - reinterpret_cast<std::uintptr_t>(args.dst)) % step;
  const std::size_t head = std::min(misaligned, args.bytes);
  const std::size_t body_end = head + (args.bytes - head) / step * step;
  fold_range<kNumRows>(granule, args, 0, head);
  fold_range<kNumRows>(wide, args, head, body_end);
  fold_range<kNumRows>(granule, args, body_end, args.bytes);
}

void fold_rows_impl(const FoldArgs& args) {
  switch (args.num_rows) {
    case 1:
      return fold<1>(args);
    case 2:
      return fold<2>(args);
    case 3:
      return fold<3>(args);
    case 4:
      return fold<4>(args);
    case 5:
      return fold<5>(args);
    case 6:
      return fold<6>(args);
    case 7:
      return fold<7>(args);
    case 8:
      return fold<8>(args);
    default:
      return fold<0>(args);
  }
}

}  // namespace switchyard::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace switchyard::bench {

HWY_EXPORT(fold_rows_impl);

void fold_rows(std::byte* dst,
               const std::byte* const* rows,
               std::size_t num_rows,
               std::size_t bytes) {
  HWY_DYNAMIC_DISPATCH(fold_rows_impl)({dst, rows, num_rows, bytes});
}

}  // namespace switchyard::bench
#endif  // HWY_ONCE
