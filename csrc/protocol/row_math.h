// The arithmetic that roles ask of a target, as data: what is summed in which order, how a row is
// quantised. The order and every rounding are part of the contract (docs/protocol.md), so that all
// targets agree bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "switchyard/dtype.h"

namespace switchyard::protocol {

/// Largest number of rows summed into one: one per top-k entry.
inline constexpr int kMaxTerms = 32;
inline constexpr int kMaxBiases = 2;

/// One expert-output row of a token.
struct Term {
  const std::byte* row = nullptr;
  float weight = 1.0F;  ///< multiplies the row when Reduction::weighted
  bool closes_group =
      true;  ///< last row of its rank's group: the group's sum is rounded to the wire type here
  /// Last row of its node, where the sum goes by node: the node's sum is rounded here, too.
  bool closes_node = true;
};

/// dst = round( ((0 + bias0) + bias1) + group0 + group1 ... ), left to right in fp32, where group =
/// wire_round( (w0*r0 + w1*r1) + w2*r2 ... ), each product and each sum rounded to fp32 (never
/// fused); without weights the products are the rows themselves. By node, the groups of a node are
/// added up among themselves first, from +0, and what is added to the biases is wire_round( (0 +
/// group0) + group1 ... ) of each node: what another node sends is the same number as what this one
/// makes of its own rows. Rounding is to nearest, ties to
/// even; NaN stays NaN: payload and sign of a NaN differ between processors, so every NaN of dst is
/// 0x7fff (bf16, fp16) or 0x7fffffff (fp32). No term and no bias gives +0, and since the sum starts
/// from +0, no result is -0 unless a rounding made it.
/// Shapes: dst, rows and biases [num_elems] of `dtype` (bf16, fp16 or fp32), 16-byte aligned; dst
///         overlaps none
struct Reduction {
  std::byte* dst = nullptr;
  const Term* terms = nullptr;
  std::int32_t num_terms = 0;
  std::int32_t num_biases = 0;
  const std::byte* biases[kMaxBiases] = {nullptr, nullptr};
  std::uint32_t num_elems = 0;
  DType dtype = DType::kBf16;
  bool weighted = false;
  bool by_node = false;
};

enum class ScaleFormat : std::uint8_t {
  kNone = 0,  ///< rows are not quantised
  kFp32 = 1,  ///< one fp32 per 128 elements
  kUe8m0 =
      2,  ///< one biased power-of-two exponent (a byte) per 128 elements, four packed in 32 bits
};

inline constexpr float kE4m3Max = 448.0F;  ///< largest e4m3 number
inline constexpr float kMinAmax = 1e-4F;   ///< keeps the scale of a block of zeroes from being zero

/// bf16 -> fp8 e4m3, one scale per 128 elements (the last block may be short). Per block:
///   amax  = max(largest |x| that is not NaN, kMinAmax)
///   kFp32:  scale = amax / 448 (fp32 division), inverse = 448 / amax (fp32 division)
///   kUe8m0: scale = the smallest power of two >= amax / 448 (fp32 division), inverse = 1 / scale
///   (exact);
///           stored as the biased exponent of the scale (127 means 1)
///   y     = e4m3( x * inverse ) to nearest even, saturating at +-448; NaN gives 0x7f with x's sign
/// A block with an infinity has an infinite scale (ue8m0: 255) and inverse 0: its numbers give 0,
/// its infinities NaN.
/// Shapes: src [num_elems] bf16, num_elems a multiple of 8; dst [num_elems] e4m3; scales
///         [ceil(num_elems / 128)] fp32 or bytes; scale bytes of a group of four beyond the last
///         block are written as 0
struct Quantization {
  std::byte* dst = nullptr;
  std::byte* scales = nullptr;
  const std::byte* src = nullptr;
  std::uint32_t num_elems = 0;
  ScaleFormat format = ScaleFormat::kFp32;
};

/// What a copy should leave behind in the caches.
enum class CopyHint : std::uint8_t {
  kStream,  ///< the destination will not be read soon by this core: keep it out of the caches
  kKeep,    ///< small or about to be read: leave it in the caches
};

}  // namespace switchyard::protocol
