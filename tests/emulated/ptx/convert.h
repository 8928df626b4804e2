// In place of ptx/convert.h: the conversions as the manual defines them, one element at a time.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "ptx/target.h"

namespace switchyard::ptx {

namespace detail {

/// Magnitude of `value`, not NaN, as a code of kMantissa bits of mantissa and an exponent whose
/// smallest normal is 2^kMinExponent, to nearest even; codes past the largest go on as if there
/// were no end.
template <int kMinExponent, int kMantissa>
std::uint32_t nearest_code(float value) {
  const double magnitude = std::fabs(static_cast<double>(value));
  int exponent = magnitude == 0.0 ? kMinExponent : std::ilogb(magnitude);
  exponent = exponent < kMinExponent ? kMinExponent : exponent;
  const double units = std::nearbyint(std::ldexp(magnitude, kMantissa - exponent));
  return static_cast<std::uint32_t>((exponent - kMinExponent) << kMantissa) +
         static_cast<std::uint32_t>(units);
}

inline std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) {
    return 0x7fff;
  }
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}
inline std::uint16_t to_f16(float value) {
  if (std::isnan(value)) {
    return 0x7fff;
  }
  const std::uint32_t sign = std::signbit(value) ? 0x8000U : 0U;
  const std::uint32_t code =
      std::isinf(value) ? 0x7c00U : nearest_code<-14, 10>(std::fmin(std::fabs(value), 1e6F));
  return static_cast<std::uint16_t>(sign | (code < 0x7c00U ? code : 0x7c00U));
}
inline std::uint16_t to_e4m3(float value) {
  if (std::isnan(value)) {
    return 0x7f;
  }
  const std::uint32_t sign = std::signbit(value) ? 0x80U : 0U;
  const std::uint32_t code = nearest_code<-6, 3>(std::fmin(std::fabs(value), 448.0F));
  return static_cast<std::uint16_t>(sign | code);
}

}  // namespace detail

inline std::uint32_t f32_to_bf16x2(float element0, float element1) {
  return detail::to_bf16(element0) | static_cast<std::uint32_t>(detail::to_bf16(element1)) << 16U;
}
inline std::uint32_t f32_to_f16x2(float element0, float element1) {
  return detail::to_f16(element0) | static_cast<std::uint32_t>(detail::to_f16(element1)) << 16U;
}
inline float2 bf16x2_to_f32(std::uint32_t pair) {
  return {std::bit_cast<float>(pair << 16U), std::bit_cast<float>(pair & 0xFFFF0000U)};
}
inline float f16_to_f32(std::uint16_t half) {
  const std::uint32_t exponent = half >> 10U & 0x1fU;
  const std::uint32_t mantissa = half & 0x3ffU;
  float magnitude = 0.0F;
  if (exponent == 31) {
    magnitude = mantissa == 0 ? INFINITY : NAN;
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa + (exponent == 0 ? 0U : 0x400U)),
                           static_cast<int>(exponent == 0 ? 1 : exponent) - 25);
  }
  return (half & 0x8000U) != 0 ? -magnitude : magnitude;
}
inline float2 f16x2_to_f32(std::uint32_t pair) {
  return {f16_to_f32(static_cast<std::uint16_t>(pair)),
          f16_to_f32(static_cast<std::uint16_t>(pair >> 16U))};
}
template <Target kTarget = kThisTarget>
std::uint16_t f32_to_e4m3x2(float element0, float element1) {
  static_assert(kTarget.has(89), "f32_to_e4m3x2 needs sm_89");
  return static_cast<std::uint16_t>(detail::to_e4m3(element0) | detail::to_e4m3(element1) << 8);
}

inline void bf16x8_to_f32(const uint4& vector, float (&elements)[8]) {
  const std::uint32_t pairs[4] = {vector.x, vector.y, vector.z, vector.w};
  for (int i = 0; i < 4; ++i) {
    const float2 pair = bf16x2_to_f32(pairs[i]);
    elements[2 * i] = pair.x;
    elements[2 * i + 1] = pair.y;
  }
}
inline uint4 f32_to_bf16x8(const float (&elements)[8]) {
  return {f32_to_bf16x2(elements[0], elements[1]),
          f32_to_bf16x2(elements[2], elements[3]),
          f32_to_bf16x2(elements[4], elements[5]),
          f32_to_bf16x2(elements[6], elements[7])};
}
inline void f16x8_to_f32(const uint4& vector, float (&elements)[8]) {
  const std::uint32_t pairs[4] = {vector.x, vector.y, vector.z, vector.w};
  for (int i = 0; i < 4; ++i) {
    const float2 pair = f16x2_to_f32(pairs[i]);
    elements[2 * i] = pair.x;
    elements[2 * i + 1] = pair.y;
  }
}
inline uint4 f32_to_f16x8(const float (&elements)[8]) {
  return {f32_to_f16x2(elements[0], elements[1]),
          f32_to_f16x2(elements[2], elements[3]),
          f32_to_f16x2(elements[4], elements[5]),
          f32_to_f16x2(elements[6], elements[7])};
}

}  // namespace switchyard::ptx
