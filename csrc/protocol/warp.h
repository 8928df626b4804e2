// The instruction set of the protocol: the few operations through which a role touches the world.
// Each target has one type that provides them (host::HostWarp; a CUDA warp; the tests' scripted
// warp); roles are templates over it.
//
// Ordering is part of the operations, never of the roles:
//   store_release, add_release   first complete every earlier row or word this warp stored, then
//                                publish
//   load_acquire                 what the release it reads published is visible to everything
//                                after it
//   load_relaxed, store_relaxed  mailbox words, whose tag makes arrival and content one event
//   put, signal                  first complete every earlier row or word this warp stored and
//                                every row it read; their counter is a release at the other node
// copy_row, zero_row, quantize_row, reduce_rows and store_words return before the destination is
// visible to others; their sources must stay unchanged until the next release of this warp, except
// store_words, which has read its source.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "csrc/protocol/control_block.h"
#include "csrc/protocol/row_math.h"

namespace switchyard::protocol {

/// allocate() found no room.
inline constexpr std::uint64_t kNoRegion = ~std::uint64_t{0};

template <class W>
concept Warp = requires(W& warp,
                        const Word* in,
                        Word* out,
                        std::byte* row,
                        std::byte* const* rows,
                        const std::byte* source,
                        const std::uint32_t* words,
                        const float* floats,
                        const Reduction& reduction,
                        const Quantization& quantization) {
  { warp.load_acquire(in) } -> std::same_as<Word>;
  { warp.load_relaxed(in) } -> std::same_as<Word>;
  warp.store_relaxed(out, Word{});
  warp.store_release(out, Word{});
  warp.add_release(out, Word{});
  /// One row to several places. Bytes: a multiple of 16.
  warp.copy_row(rows, 1, source, std::size_t{}, CopyHint::kStream);
  /// A few 32-bit words (metadata, scales) to one place.
  warp.store_words(row, words, std::uint32_t{});
  /// A hint: words will be stored here soon.
  warp.expect_words(row);
  /// Words and floats that an acquire has made visible, of this rank or a peer.
  { warp.load_word(words) } -> std::same_as<std::uint32_t>;
  { warp.load_float(floats) } -> std::same_as<float>;
  /// The sum, modulo 2^32, of such words. Address: a multiple of 16; words: of 4.
  { warp.sum_words(words, std::uint32_t{}) } -> std::same_as<std::uint32_t>;
  /// Address and bytes: multiples of 4.
  warp.zero_row(row, std::size_t{});
  /// Quantises one row and puts rows and scales to several places (dst and scales of the
  /// description are not used).
  warp.quantize_row(quantization, rows, rows, 1, CopyHint::kStream);
  /// `next`, where there is one, is the reduction that follows, so that its rows can be on their
  /// way already.
  warp.reduce_rows(reduction, CopyHint::kStream, &reduction);
  /// A region of this rank's heap, or kNoRegion; the largest free one; and giving a region back.
  { warp.allocate(std::uint64_t{}) } -> std::same_as<std::uint64_t>;
  { warp.largest_free() } -> std::same_as<std::uint64_t>;
  warp.release(std::uint64_t{});
};

/// Bytes for this rank's rail peer on another node, and the counter that tells of them.
struct RailPut {
  std::uint64_t local_offset = 0;    ///< in this rank's heap, a multiple of 16
  std::uint64_t remote_offset = 0;   ///< in the peer's, a multiple of 16
  std::uint64_t bytes = 0;           ///< a multiple of 16
  std::uint64_t counter_offset = 0;  ///< in the peer's heap, a multiple of 8
  std::uint64_t value = 0;           ///< new content of the counter, which only grows; below 2^62
};

/// A warp that reaches other nodes as well. Both operations return false, and nothing happened, when
/// the way to the network is full; the role blocks, and tries again.
template <class W>
concept RailWarp = Warp<W> && requires(W& warp, RailTrack track, const RailPut& put) {
  /// The bytes stay as they are until the peer has answered to the counter.
  { warp.put(track, put) } -> std::same_as<bool>;
  /// The counter alone.
  { warp.signal(track, std::uint64_t{}, std::uint64_t{}) } -> std::same_as<bool>;
};

}  // namespace switchyard::protocol
