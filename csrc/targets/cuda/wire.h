// The element types of rows, 16 bytes at a time, to and from fp32. Every NaN that is written is the
// one of row_math.h.
#pragma once

#include <cstdint>

#include "ptx/convert.h"

namespace switchyard::cuda {

struct Bf16Wire {
  static constexpr int kElems = 8;  // of 16 bytes

  static __device__ __forceinline__ void load(const uint4& wire, float (&out)[kElems]) {
    ptx::bf16x8_to_f32(wire, out);
  }
  static __device__ __forceinline__ uint4 store(const float (&in)[kElems]) {
    return ptx::f32_to_bf16x8(in);
  }
};

struct Fp16Wire {
  static constexpr int kElems = 8;

  static __device__ __forceinline__ void load(const uint4& wire, float (&out)[kElems]) {
    ptx::f16x8_to_f32(wire, out);
  }
  static __device__ __forceinline__ uint4 store(const float (&in)[kElems]) {
    return ptx::f32_to_f16x8(in);
  }
};

struct Fp32Wire {
  static constexpr int kElems = 4;

  static __device__ __forceinline__ void load(const uint4& wire, float (&out)[kElems]) {
    out[0] = __uint_as_float(wire.x);
    out[1] = __uint_as_float(wire.y);
    out[2] = __uint_as_float(wire.z);
    out[3] = __uint_as_float(wire.w);
  }
  static __device__ __forceinline__ uint4 store(const float (&in)[kElems]) {
    return {word(in[0]), word(in[1]), word(in[2]), word(in[3])};
  }

 private:
  static __device__ __forceinline__ std::uint32_t word(float value) {
    return value != value ? 0x7fffffffU : __float_as_uint(value);
  }
};

}  // namespace switchyard::cuda
