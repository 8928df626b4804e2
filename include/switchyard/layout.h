// How landed rows are arranged and encoded: the enumerations that the public requests and the
// protocol share.
#pragma once

#include <cstdint>

namespace switchyard {

/// Largest top-k.
inline constexpr int kMaxTopk = 32;

/// Where landed rows lie. A "row" is one token's activations at a destination.
enum class Layout : std::uint8_t {
  kRankMajor,    ///< one row per (token, destination rank), in (source rank, token) order
  kExpertMajor,  ///< one row per (token, local expert); rows of an expert contiguous, in (source
                 ///< rank, token) order
  kPadded,       ///< fixed places [local expert][source rank][max_tokens]: no count round trip; for
                 ///< decode
};

constexpr const char* layout_name(Layout layout) {
  switch (layout) {
    case Layout::kRankMajor:
      return "rank-major";
    case Layout::kExpertMajor:
      return "expert-major";
    case Layout::kPadded:
      return "padded";
  }
  return "unknown";
}

/// bf16 rows turned into fp8 e4m3 on the way out, one scale per 128 elements.
enum class Quantize : std::uint8_t {
  kNone,
  kFp8ScalesFp32,   ///< scales fp32 [.., ceil(hidden / 128)]
  kFp8ScalesUe8m0,  ///< power-of-two scales, four packed in 32 bits: [.., ceil(hidden / 512)]
};

/// Who writes the second and later copies of a token whose several experts live on one rank
/// (expert-major layout).
enum class ExpertCopies : std::uint8_t {
  kBySender,    ///< the source writes every row: one read for all copies; best where "the link" is
                ///< shared memory
  kByReceiver,  ///< the first copy crosses the link, the destination copies it on: fewest bytes on
                ///< the link
};

}  // namespace switchyard
