// bf16 to fp8 e4m3 by the warp, as csrc/protocol/row_math.h defines it: 16 lanes make one block of
// 128 elements, 8 each.
#pragma once

#include <cstdint>

#include "csrc/protocol/row_math.h"
#include "ptx/convert.h"
#include "ptx/target.h"

namespace switchyard::cuda {

inline constexpr int kQuantElems = 8;  ///< of one lane: 16 bytes in, 8 out
inline constexpr int kQuantLanes = kScaleBlockElems / kQuantElems;
using protocol::kE4m3Max;
using protocol::kMinAmax;

/// The scale of a block as it is stored (fp32 bits, or the biased exponent), and what multiplies
/// its elements.
struct BlockScale {
  std::uint32_t stored;
  float inverse;
};

inline __device__ BlockScale block_scale(float amax, protocol::ScaleFormat format) {
  const float scale = __fdiv_rn(amax, kE4m3Max);
  if (format == protocol::ScaleFormat::kFp32) {
    return {__float_as_uint(scale), __fdiv_rn(kE4m3Max, amax)};
  }
  // One more unless the mantissa is zero; scales are positive and normal, infinity gives 255.
  const std::uint32_t exponent = (__float_as_uint(scale) + 0x7fffffU) >> 23U;
  return {exponent, exponent < 255 ? __uint_as_float((254U - exponent) << 23U) : 0.0F};
}

/// Largest |x| of the lane's elements that is not NaN, over the block's lanes.
/// Called by: all lanes; those without elements bring zeroes
inline __device__ float block_amax(const float (&elements)[kQuantElems]) {
  float amax = kMinAmax;
#pragma unroll
  for (int i = 0; i < kQuantElems; ++i) {
    amax = fmaxf(amax, fabsf(elements[i]));  // takes the number when one of two is NaN
  }
#pragma unroll
  for (int distance = kQuantLanes / 2; distance > 0; distance /= 2) {
    amax = fmaxf(amax, __shfl_xor_sync(0xffffffffU, amax, distance));
  }
  return amax;
}

/// |value| to e4m3: nearest even, saturating; NaN gives 0x7f. For GPUs without the instruction.
inline __device__ std::uint32_t e4m3_magnitude(float value) {
  if (value != value) {
    return 0x7fU;
  }
  const float magnitude = fminf(fabsf(value), kE4m3Max);
  const std::uint32_t bits = __float_as_uint(magnitude);
  // Subnormal results count units of 2^-9; the sum rounds to them, to nearest even.
  if (magnitude < 0x1p-6F) {
    return __float_as_uint(__fadd_rn(magnitude, 0x1p14F)) - __float_as_uint(0x1p14F);
  }
  const std::uint32_t odd = (bits >> 20U) & 1U;
  return ((bits + 0x7ffffU + odd) >> 20U) - ((127U - 7U) << 3U);
}

/// Eight bf16 times `inverse` to eight e4m3, each with its own sign, NaN too.
inline __device__ uint2 to_e4m3(const uint4& wire, float inverse) {
  float elements[kQuantElems];
  ptx::bf16x8_to_f32(wire, elements);
  std::uint32_t bytes[kQuantElems];
#pragma unroll
  for (int i = 0; i < kQuantElems; ++i) {
    const std::uint32_t sign = __float_as_uint(elements[i]) >> 24U & 0x80U;
    const float scaled = fabsf(__fmul_rn(elements[i], inverse));
    if constexpr (ptx::kThisTarget.has(89)) {
      bytes[i] = (ptx::f32_to_e4m3x2(scaled, 0.0F) & 0xffU) | sign;
    } else {
      bytes[i] = e4m3_magnitude(scaled) | sign;
    }
  }
  const auto word = [&](int first) {
    return bytes[first] | bytes[first + 1] << 8U | bytes[first + 2] << 16U |
           bytes[first + 3] << 24U;
  };
  return {word(0), word(4)};
}

}  // namespace switchyard::cuda
