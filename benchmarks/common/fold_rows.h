// The arithmetic of the combine roof: rows folded by XOR at the speed of memory.
#pragma once

#include <cstddef>

namespace switchyard::bench {

/// dst = XOR of the rows, zero when there is none.
/// Shapes: dst and rows `bytes` bytes, a multiple of 16, 16-byte aligned
struct Fold {
  std::byte* dst = nullptr;
  const std::byte* const* rows = nullptr;
  std::size_t num_rows = 0;
  std::size_t bytes = 0;
};

/// Wide loads and streaming stores, with the rows fetched as far ahead as the library's own sums
/// do; `next`, if any, is the fold that follows.
/// Ordering: weakly ordered stores: host::stream_fence() before anybody is told
void fold_rows(const Fold& fold, const Fold* next);

}  // namespace switchyard::bench
