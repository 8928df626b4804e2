// Number formats and roundings, one value at a time, written from their definitions: what the
// vectorised row operations are judged by, so nothing here is shared with them.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "csrc/protocol/row_math.h"
#include "switchyard/dtype.h"

namespace switchyard::bench {

/// |x| (finite) as the nearest value, ties to even, of a format with `mantissa_bits` and least
/// normal exponent `min_exponent`: its exponent and mantissa bits, as if exponents had no upper
/// end.
constexpr std::uint32_t round_magnitude(float x, int mantissa_bits, int min_exponent) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x) & 0x7fffffffU;
  const bool normal = bits >= 0x00800000U;
  const int exponent = normal ? static_cast<int>(bits >> 23U) - 127 : -126;
  const std::uint32_t significand = (bits & 0x007fffffU) | (normal ? 0x00800000U : 0U);
  const int rounded_exponent = exponent > min_exponent ? exponent : min_exponent;
  const int shift = 23 - mantissa_bits + rounded_exponent - exponent;
  if (shift > 25) {  // below half of the least value
    return 0;
  }
  const std::uint32_t half = 1U << (static_cast<unsigned>(shift) - 1U);
  const std::uint32_t rest = significand & (half * 2U - 1U);
  std::uint32_t quotient = significand >> static_cast<unsigned>(shift);
  quotient += rest > half || (rest == half && (quotient & 1U) != 0U) ? 1U : 0U;
  // A quotient of 2^mantissa_bits or more carries into the exponent: normal values have their
  // leading bit there.
  return (static_cast<std::uint32_t>(rounded_exponent - min_exponent)
          << static_cast<unsigned>(mantissa_bits)) +
         quotient;
}

constexpr bool is_nan(float x) {
  return x != x;
}
constexpr std::uint32_t sign_of(float x) {
  return std::bit_cast<std::uint32_t>(x) >> 31U;
}

constexpr float bf16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

/// Adding half of the last kept bit, less one where that bit is even, carries exactly when the
/// value rounds up; a carry out of the mantissa is the next exponent, and out of the last exponent
/// infinity.
constexpr std::uint16_t float_to_bf16(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U;
  return is_nan(x) ? std::uint16_t{0x7fc0} : static_cast<std::uint16_t>(rounded);
}

constexpr float fp16_to_float(std::uint16_t bits) {
  const std::uint32_t exponent = (bits >> 10U) & 0x1fU;
  const std::uint32_t mantissa = bits & 0x3ffU;
  const float sign = (bits & 0x8000U) != 0U ? -1.0F : 1.0F;
  if (exponent == 0x1fU) {
    return std::bit_cast<float>((static_cast<std::uint32_t>(bits) & 0x8000U) << 16U | 0x7f800000U |
                                mantissa << 13U);
  }
  if (exponent == 0) {
    return sign * static_cast<float>(mantissa) * 0x1p-24F;
  }
  return sign * std::bit_cast<float>((exponent + 112U) << 23U | mantissa << 13U);
}

constexpr std::uint16_t float_to_fp16(float x) {
  if (is_nan(x)) {
    return 0x7e00;
  }
  const bool huge = x >= 65536.0F || x <= -65536.0F;
  const std::uint32_t magnitude = huge ? 0x7c00U : round_magnitude(x, 10, -14);
  return static_cast<std::uint16_t>(sign_of(x) << 15U | magnitude);
}

/// Saturates at +-448.
constexpr std::uint8_t float_to_e4m3(float x) {
  std::uint32_t magnitude = 0x7fU;
  if (!is_nan(x)) {
    magnitude = x >= 448.0F || x <= -448.0F ? 0x7eU : round_magnitude(x, 3, -6);
  }
  return static_cast<std::uint8_t>(sign_of(x) << 7U | magnitude);
}

/// Elements of `dtype` (bf16, fp16, fp32) as floats, and floats rounded to `dtype`.
void load_floats(DType dtype, const std::byte* src, std::size_t num_elems, float* dst);
void store_floats(DType dtype, const float* src, std::size_t num_elems, std::byte* dst);

/// Quantises one row as protocol::Quantization states.
void quantize_reference(const protocol::Quantization& quantization);

}  // namespace switchyard::bench
