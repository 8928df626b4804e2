// The arithmetic of row_math.h, written as plainly as possible: small floating-point formats by
// search over their values, sums and scales one element at a time. What the row operations of every
// target are compared with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "csrc/protocol/row_math.h"
#include "switchyard/dtype.h"

namespace switchyard::sim {

/// A floating-point format of at most 16 bits: sign, exponent, mantissa.
struct SmallFloat {
  int exponent_bits;
  int mantissa_bits;
  bool
      has_infinity;  ///< without: values saturate and only the all-ones magnitude is NaN (OCP "fn")

  /// The value of a code; NaN and infinity included.
  [[nodiscard]] float decode(std::uint32_t code) const;
  /// The nearest code, even on ties. NaN gives all ones below the sign; its sign is kept only
  /// without infinities.
  [[nodiscard]] std::uint32_t encode(float value) const;
};

inline constexpr SmallFloat kBf16{8, 7, true};
inline constexpr SmallFloat kFp16{5, 10, true};
inline constexpr SmallFloat kE4m3{4, 3, false};

/// Element `index` of a row of bf16, fp16 or fp32.
float load_element(DType dtype, const std::byte* row, std::size_t index);
/// Rounds to the type and stores; NaN is stored as the one the contract names.
void store_element(DType dtype, std::byte* row, std::size_t index, float value);
/// What is left of a value after a trip through the type.
float wire_round(DType dtype, float value);

/// protocol::Reduction, written to reduction.dst.
void reference_reduce(const protocol::Reduction& reduction);

/// protocol::Quantization, written to quantization.dst and .scales.
void reference_quantize(const protocol::Quantization& quantization);

}  // namespace switchyard::sim
