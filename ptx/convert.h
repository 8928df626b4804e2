// Conversions between float and the types of rows, two elements in one instruction, and over the 8
// elements of a vector load. Element 0 is in the lowest bits, as in memory.
//
// Narrowing rounds to nearest even. A NaN becomes 0x7fff (bf16, fp16) or 0x7f (e4m3), whatever its
// sign. Pure functions of their operands: not volatile, so the compiler may move and merge them.
#pragma once

#include <cstdint>

#include "ptx/target.h"

namespace switchyard::ptx {

/// Two floats to bf16.
/// PTX:    cvt.rn.bf16x2.f32 pair, element1, element0;
/// Needs:  PTX ISA 7.0, sm_80+
/// Source: PTX ISA manual, "cvt"
__device__ __forceinline__ std::uint32_t f32_to_bf16x2(float element0, float element1) {
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(element1), "f"(element0));
  return pair;
}

/// Two floats to fp16; beyond 65504 infinite.
/// PTX:    cvt.rn.f16x2.f32 pair, element1, element0;
/// Needs:  PTX ISA 7.0, sm_80+
/// Source: PTX ISA manual, "cvt"
__device__ __forceinline__ std::uint32_t f32_to_f16x2(float element0, float element1) {
  std::uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(element1), "f"(element0));
  return pair;
}

/// Two bf16 to float, exactly: a bf16 is the upper half of a float, so no instruction is needed.
__device__ __forceinline__ float2 bf16x2_to_f32(std::uint32_t pair) {
  return {__uint_as_float(pair << 16), __uint_as_float(pair & 0xFFFF0000U)};
}

/// One fp16 to float, exactly.
/// PTX:    cvt.f32.f16 value, half;
/// Needs:  PTX ISA 1.0, sm_10+
/// Source: PTX ISA manual, "cvt"
__device__ __forceinline__ float f16_to_f32(std::uint16_t half) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
  return value;
}

/// Two fp16 to float, exactly.
__device__ __forceinline__ float2 f16x2_to_f32(std::uint32_t pair) {
  return {f16_to_f32(static_cast<std::uint16_t>(pair)),
          f16_to_f32(static_cast<std::uint16_t>(pair >> 16))};
}

/// Two floats to e4m3, saturating at 448; infinities too.
/// PTX:    cvt.rn.satfinite.e4m3x2.f32 pair, element1, element0;
/// Needs:  PTX ISA 8.1, sm_89+
/// Source: PTX ISA manual, "cvt"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ std::uint16_t f32_to_e4m3x2(float element0, float element1) {
  static_assert(kTarget.has(89), "f32_to_e4m3x2 needs sm_89");
  std::uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(element1), "f"(element0));
  return pair;
}

/// Two e4m3 to fp16, exactly.
/// PTX:    cvt.rn.f16x2.e4m3x2 pair, narrow;
/// Needs:  PTX ISA 8.1, sm_89+
/// Source: PTX ISA manual, "cvt"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ std::uint32_t e4m3x2_to_f16x2(std::uint16_t narrow) {
  static_assert(kTarget.has(89), "e4m3x2_to_f16x2 needs sm_89");
  std::uint32_t pair;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(pair) : "h"(narrow));
  return pair;
}

/// Two positive floats to the powers of two of scales (ue8m0), rounded up so that no scaled value
/// grows past its type; saturating.
/// PTX:    cvt.rp.satfinite.ue8m0x2.f32 pair, element1, element0;
/// Needs:  PTX ISA 8.6, sm_100a+
/// Source: PTX ISA manual, "cvt"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ std::uint16_t f32_to_ue8m0x2(float element0, float element1) {
  static_assert(kTarget.has_own(100), "f32_to_ue8m0x2 needs sm_100a");
  std::uint16_t pair;
  asm("cvt.rp.satfinite.ue8m0x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(element1), "f"(element0));
  return pair;
}

/// Two ue8m0 scales to bf16, exactly.
/// PTX:    cvt.rn.bf16x2.ue8m0x2 pair, narrow;
/// Needs:  PTX ISA 8.6, sm_100a+
/// Source: PTX ISA manual, "cvt"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ std::uint32_t ue8m0x2_to_bf16x2(std::uint16_t narrow) {
  static_assert(kTarget.has_own(100), "ue8m0x2_to_bf16x2 needs sm_100a");
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.ue8m0x2 %0, %1;" : "=r"(pair) : "h"(narrow));
  return pair;
}

// Eight elements: one 16-byte vector of bf16 or fp16, or 8 bytes of e4m3.

/// Eight bf16 to float, exactly.
__device__ __forceinline__ void bf16x8_to_f32(const uint4& vector, float (&elements)[8]) {
  const std::uint32_t pairs[4] = {vector.x, vector.y, vector.z, vector.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = bf16x2_to_f32(pairs[i]);
    elements[2 * i] = pair.x;
    elements[2 * i + 1] = pair.y;
  }
}

/// Eight floats to bf16.
__device__ __forceinline__ uint4 f32_to_bf16x8(const float (&elements)[8]) {
  return {f32_to_bf16x2(elements[0], elements[1]),
          f32_to_bf16x2(elements[2], elements[3]),
          f32_to_bf16x2(elements[4], elements[5]),
          f32_to_bf16x2(elements[6], elements[7])};
}

/// Eight fp16 to float, exactly.
__device__ __forceinline__ void f16x8_to_f32(const uint4& vector, float (&elements)[8]) {
  const std::uint32_t pairs[4] = {vector.x, vector.y, vector.z, vector.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = f16x2_to_f32(pairs[i]);
    elements[2 * i] = pair.x;
    elements[2 * i + 1] = pair.y;
  }
}

/// Eight floats to fp16.
__device__ __forceinline__ uint4 f32_to_f16x8(const float (&elements)[8]) {
  return {f32_to_f16x2(elements[0], elements[1]),
          f32_to_f16x2(elements[2], elements[3]),
          f32_to_f16x2(elements[4], elements[5]),
          f32_to_f16x2(elements[6], elements[7])};
}

/// Eight e4m3 to float, exactly, by way of fp16.
/// Needs:  PTX ISA 8.1, sm_89+
template <Target kTarget = kThisTarget>
__device__ __forceinline__ void e4m3x8_to_f32(const uint2& vector, float (&elements)[8]) {
  const std::uint32_t words[2] = {vector.x, vector.y};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const auto narrow = static_cast<std::uint16_t>(words[i / 2] >> (16 * (i % 2)));
    const float2 pair = f16x2_to_f32(e4m3x2_to_f16x2<kTarget>(narrow));
    elements[2 * i] = pair.x;
    elements[2 * i + 1] = pair.y;
  }
}

/// Eight floats to e4m3, saturating at 448.
/// Needs:  PTX ISA 8.1, sm_89+
template <Target kTarget = kThisTarget>
__device__ __forceinline__ uint2 f32_to_e4m3x8(const float (&elements)[8]) {
  const auto four = [&](int first) {
    const std::uint32_t low = f32_to_e4m3x2<kTarget>(elements[first], elements[first + 1]);
    const std::uint32_t high = f32_to_e4m3x2<kTarget>(elements[first + 2], elements[first + 3]);
    return low | high << 16;
  };
  return {four(0), four(4)};
}

}  // namespace switchyard::ptx
