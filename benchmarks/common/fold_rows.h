// The arithmetic of the combine roof: rows folded by XOR at the speed of memory.
#pragma once

#include <cstddef>

namespace switchyard::bench {

/// dst = XOR of the rows (zero when there is none), wide loads and streaming stores.
/// Shapes:   dst and rows `bytes` bytes, a multiple of 16, 16-byte aligned
/// Ordering: weakly ordered stores: host::stream_fence() before anybody is told
void fold_rows(std::byte* dst,
               const std::byte* const* rows,
               std::size_t num_rows,
               std::size_t bytes);

}  // namespace switchyard::bench
