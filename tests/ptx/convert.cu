// One kernel for each function of ptx/convert.h and form of it; what they emit is the test.
#include "ptx/convert.h"

namespace ptx = switchyard::ptx;

namespace {

using Eight = float[8];

}  // namespace

extern "C" __global__ void probe_f32_to_bf16x2(std::uint32_t* out, float2 in) {
  *out = ptx::f32_to_bf16x2(in.x, in.y);
}

extern "C" __global__ void probe_f32_to_f16x2(std::uint32_t* out, float2 in) {
  *out = ptx::f32_to_f16x2(in.x, in.y);
}

extern "C" __global__ void probe_bf16x2_to_f32(float2* out, std::uint32_t in) {
  *out = ptx::bf16x2_to_f32(in);
}

extern "C" __global__ void probe_f16_to_f32(float* out, std::uint16_t in) {
  *out = ptx::f16_to_f32(in);
}

extern "C" __global__ void probe_f16x2_to_f32(float2* out, std::uint32_t in) {
  *out = ptx::f16x2_to_f32(in);
}

extern "C" __global__ void probe_bf16x8_to_f32(Eight* out, uint4 in) {
  ptx::bf16x8_to_f32(in, *out);
}

extern "C" __global__ void probe_f32_to_bf16x8(uint4* out, const Eight* in) {
  *out = ptx::f32_to_bf16x8(*in);
}

extern "C" __global__ void probe_f16x8_to_f32(Eight* out, uint4 in) {
  ptx::f16x8_to_f32(in, *out);
}

extern "C" __global__ void probe_f32_to_f16x8(uint4* out, const Eight* in) {
  *out = ptx::f32_to_f16x8(*in);
}

#if __CUDA_ARCH__ >= 890 || defined(SY_PROBE_ALL)

extern "C" __global__ void probe_f32_to_e4m3x2(std::uint16_t* out, float2 in) {
  *out = ptx::f32_to_e4m3x2(in.x, in.y);
}

extern "C" __global__ void probe_e4m3x2_to_f16x2(std::uint32_t* out, std::uint16_t in) {
  *out = ptx::e4m3x2_to_f16x2(in);
}

extern "C" __global__ void probe_e4m3x8_to_f32(Eight* out, uint2 in) {
  ptx::e4m3x8_to_f32(in, *out);
}

extern "C" __global__ void probe_f32_to_e4m3x8(uint2* out, const Eight* in) {
  *out = ptx::f32_to_e4m3x8(*in);
}

#endif

#if __CUDA_ARCH__ >= 1000 || defined(SY_PROBE_ALL)

extern "C" __global__ void probe_f32_to_ue8m0x2(std::uint16_t* out, float2 in) {
  *out = ptx::f32_to_ue8m0x2(in.x, in.y);
}

extern "C" __global__ void probe_ue8m0x2_to_bf16x2(std::uint32_t* out, std::uint16_t in) {
  *out = ptx::ue8m0x2_to_bf16x2(in);
}

#endif
