#include "benchmarks/common/scalar_math.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace switchyard::bench {

namespace {

template <class Element, class Convert>
void load_each(const std::byte* src, std::size_t num_elems, float* dst, Convert convert) {
  for (std::size_t i = 0; i < num_elems; ++i) {
    Element element;
    std::memcpy(&element, src + i * sizeof(Element), sizeof(Element));
    dst[i] = convert(element);
  }
}

template <class Element, class Convert>
void store_each(const float* src, std::size_t num_elems, std::byte* dst, Convert convert) {
  for (std::size_t i = 0; i < num_elems; ++i) {
    const Element element = convert(src[i]);
    std::memcpy(dst + i * sizeof(Element), &element, sizeof(Element));
  }
}

// Biased exponent of the smallest power of two that is at least x; x is positive and normal.
std::uint32_t ceil_exponent(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  return (bits >> 23U) + ((bits & 0x007fffffU) != 0U ? 1U : 0U);
}

void quantize_block(const float* values,
                    std::size_t num_elems,
                    protocol::ScaleFormat format,
                    std::byte* dst,
                    std::byte* scale_dst) {
  float amax = 1e-4F;
  for (std::size_t i = 0; i < num_elems; ++i) {
    amax = is_nan(values[i]) ? amax : std::max(amax, std::fabs(values[i]));
  }
  const float scale = amax / 448.0F;
  float inverse = 448.0F / amax;
  if (format == protocol::ScaleFormat::kFp32) {
    std::memcpy(scale_dst, &scale, sizeof(scale));
  } else {
    const std::uint32_t exponent = ceil_exponent(scale);
    inverse = std::ldexp(1.0F, 127 - static_cast<int>(exponent));
    *scale_dst = static_cast<std::byte>(exponent);
  }
  for (std::size_t i = 0; i < num_elems; ++i) {
    dst[i] = static_cast<std::byte>(float_to_e4m3(values[i] * inverse));
  }
}

}  // namespace

void load_floats(DType dtype, const std::byte* src, std::size_t num_elems, float* dst) {
  switch (dtype) {
    case DType::kBf16:
      return load_each<std::uint16_t>(
          src, num_elems, dst, [](auto bits) { return bf16_to_float(bits); });
    case DType::kFp16:
      return load_each<std::uint16_t>(
          src, num_elems, dst, [](auto bits) { return fp16_to_float(bits); });
    default:
      std::memcpy(dst, src, num_elems * sizeof(float));
  }
}

void store_floats(DType dtype, const float* src, std::size_t num_elems, std::byte* dst) {
  switch (dtype) {
    case DType::kBf16:
      return store_each<std::uint16_t>(
          src, num_elems, dst, [](float x) { return float_to_bf16(x); });
    case DType::kFp16:
      return store_each<std::uint16_t>(
          src, num_elems, dst, [](float x) { return float_to_fp16(x); });
    default:
      std::memcpy(dst, src, num_elems * sizeof(float));
  }
}

void quantize_reference(const protocol::Quantization& quantization) {
  const std::size_t num_elems = quantization.num_elems;
  const bool fp32_scales = quantization.format == protocol::ScaleFormat::kFp32;
  const std::size_t num_blocks = (num_elems + kScaleBlockElems - 1) / kScaleBlockElems;
  if (!fp32_scales) {
    std::memset(quantization.scales, 0, (num_blocks + 3) / 4 * 4);
  }
  float values[kScaleBlockElems];
  for (std::size_t block = 0; block < num_blocks; ++block) {
    const std::size_t first = block * kScaleBlockElems;
    const std::size_t count = std::min<std::size_t>(kScaleBlockElems, num_elems - first);
    load_floats(DType::kBf16, quantization.src + first * sizeof(std::uint16_t), count, values);
    quantize_block(values,
                   count,
                   quantization.format,
                   quantization.dst + first,
                   quantization.scales + block * (fp32_scales ? sizeof(float) : 1));
  }
}

}  // namespace switchyard::bench
