// Row copy, reduction and fp8 quantisation on a CPU, in the best instruction set of the machine it
// runs on. No protocol and no threads here: HostWarp (host_warp.h) turns these into the operations
// of the roles.
#pragma once

#include <cstddef>

#include "csrc/protocol/row_math.h"

namespace switchyard::host {

/// Most destinations one copy_row call writes.
inline constexpr int kMaxCopyDests = 32;

/// Copies one row to several places: every source line is read once.
/// Shapes: src and each dst: `bytes` bytes, a multiple of 16, 16-byte aligned (64 is fastest);
///         1..kMaxCopyDests dsts
/// Ordering: with CopyHint::kStream the stores are weakly ordered: stream_fence() before any
///           release of the row
void copy_row(std::byte* const* dsts,
              int num_dsts,
              const std::byte* src,
              std::size_t bytes,
              protocol::CopyHint hint);

/// Sums rows exactly as protocol::Reduction states, with streaming stores when hint is kStream.
/// `next`, where the caller knows it, is the reduction that follows: its first lines are fetched
/// while this one ends. Rows lie scattered, and each would begin with a miss that nothing hides.
void reduce_rows(const protocol::Reduction& reduction,
                 protocol::CopyHint hint,
                 const protocol::Reduction* next = nullptr);

/// Quantises one row exactly as protocol::Quantization states (plain stores).
void quantize_row(const protocol::Quantization& quantization);

/// Completes the streaming stores of this thread: later stores are seen after them.
void stream_fence();

/// The instruction set in use: "AVX3" (AVX-512), "AVX2", ... as the SIMD library names it.
const char* row_ops_isa();

}  // namespace switchyard::host
