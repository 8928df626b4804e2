#include "benchmarks/sim/reference_math.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace switchyard::sim {
namespace {

std::uint32_t sign_bit(const SmallFloat& format) {
  return 1U << (format.exponent_bits + format.mantissa_bits);
}

/// Value of a code without sign as if every exponent were an ordinary one: the code after the
/// largest finite number stands for the next power of two then, which is where rounding to infinity
/// begins to count from.
double magnitude_of(const SmallFloat& format, std::uint32_t code) {
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  const auto exponent = static_cast<int>(code >> format.mantissa_bits);
  const std::uint32_t mantissa = code & ((1U << format.mantissa_bits) - 1U);
  const std::uint32_t implicit = exponent == 0 ? 0U : 1U << format.mantissa_bits;
  return std::ldexp(static_cast<double>(mantissa + implicit),
                    std::max(exponent, 1) - bias - format.mantissa_bits);
}

std::uint32_t infinity_code(const SmallFloat& format) {
  return ((1U << format.exponent_bits) - 1U) << format.mantissa_bits;
}

/// Largest code whose magnitude does not exceed `magnitude`, at most `last`.
std::uint32_t floor_code(const SmallFloat& format, double magnitude, std::uint32_t last) {
  std::uint32_t low = 0;
  std::uint32_t high = last;
  while (low < high) {
    const std::uint32_t middle = (low + high + 1) / 2;
    if (magnitude_of(format, middle) <= magnitude) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

std::uint32_t encode_magnitude(const SmallFloat& format, double magnitude) {
  const std::uint32_t last = format.has_infinity ? infinity_code(format) : sign_bit(format) - 2U;
  const std::uint32_t below = floor_code(format, magnitude, last);
  if (below == last) {
    return last;
  }
  const double down = magnitude - magnitude_of(format, below);
  const double up = magnitude_of(format, below + 1) - magnitude;
  const bool to_upper = up < down || (up == down && below % 2 == 1);
  return to_upper ? below + 1 : below;
}

const SmallFloat& format_of(DType dtype) {
  return dtype == DType::kBf16 ? kBf16 : kFp16;
}

float load_scaled_sum(const protocol::Reduction& reduction,
                      std::size_t index,
                      int first,
                      int last) {
  float sum = 0.0F;
  for (int i = first; i <= last; ++i) {
    const protocol::Term& term = reduction.terms[i];
    const float element = load_element(reduction.dtype, term.row, index);
    const float product = reduction.weighted ? term.weight * element : element;
    sum = i == first ? product : sum + product;
  }
  return sum;
}

float reduce_element(const protocol::Reduction& reduction, std::size_t index) {
  float sum = 0.0F;
  for (int i = 0; i < reduction.num_biases; ++i) {
    sum += load_element(reduction.dtype, reduction.biases[i], index);
  }
  float node = 0.0F;
  for (int first = 0; first < reduction.num_terms;) {
    int last = first;
    while (!reduction.terms[last].closes_group && last + 1 < reduction.num_terms) {
      ++last;
    }
    const float group = wire_round(reduction.dtype, load_scaled_sum(reduction, index, first, last));
    if (!reduction.by_node) {
      sum += group;
    } else {
      node += group;
      if (reduction.terms[last].closes_node || last + 1 == reduction.num_terms) {
        sum += wire_round(reduction.dtype, node);
        node = 0.0F;
      }
    }
    first = last + 1;
  }
  return sum;
}

float block_amax(const protocol::Quantization& quantization, std::size_t begin, std::size_t end) {
  float amax = 1e-4F;
  for (std::size_t i = begin; i < end; ++i) {
    const float magnitude = std::fabs(load_element(DType::kBf16, quantization.src, i));
    if (!std::isnan(magnitude)) {
      amax = std::max(amax, magnitude);
    }
  }
  return amax;
}

/// Stores the scale of a block and returns its inverse.
float store_block_scale(const protocol::Quantization& quantization, std::size_t block, float amax) {
  float scale = amax / 448.0F;
  if (quantization.format == protocol::ScaleFormat::kFp32) {
    store_element(DType::kFp32, quantization.scales, block, scale);
    return 448.0F / amax;
  }
  if (std::isinf(scale)) {
    quantization.scales[block] = std::byte{255};
    return 0.0F;
  }
  int exponent = -126;
  while (std::ldexp(1.0F, exponent) < scale) {
    ++exponent;
  }
  quantization.scales[block] = static_cast<std::byte>(exponent + 127);
  return std::ldexp(1.0F, -exponent);
}

}  // namespace

float SmallFloat::decode(std::uint32_t code) const {
  const float sign = (code & sign_bit(*this)) != 0 ? -1.0F : 1.0F;
  const std::uint32_t unsigned_code = code & (sign_bit(*this) - 1U);
  const std::uint32_t largest = has_infinity ? infinity_code(*this) : sign_bit(*this) - 2U;
  if (unsigned_code > largest) {
    return std::copysign(std::numeric_limits<float>::quiet_NaN(), sign);
  }
  if (has_infinity && unsigned_code == largest) {
    return sign * std::numeric_limits<float>::infinity();
  }
  return sign * static_cast<float>(magnitude_of(*this, unsigned_code));
}

std::uint32_t SmallFloat::encode(float value) const {
  const std::uint32_t sign = std::signbit(value) ? sign_bit(*this) : 0U;
  if (std::isnan(value)) {
    const std::uint32_t nan = sign_bit(*this) - 1U;
    return has_infinity ? nan : nan | sign;
  }
  return encode_magnitude(*this, std::fabs(static_cast<double>(value))) | sign;
}

float load_element(DType dtype, const std::byte* row, std::size_t index) {
  if (dtype == DType::kFp32) {
    float value = 0.0F;
    std::memcpy(&value, row + index * sizeof(value), sizeof(value));
    return value;
  }
  std::uint16_t code = 0;
  std::memcpy(&code, row + index * sizeof(code), sizeof(code));
  return format_of(dtype).decode(code);
}

void store_element(DType dtype, std::byte* row, std::size_t index, float value) {
  if (dtype == DType::kFp32) {
    const std::uint32_t bits =
        std::isnan(value) ? 0x7fffffffU : std::bit_cast<std::uint32_t>(value);
    std::memcpy(row + index * sizeof(bits), &bits, sizeof(bits));
    return;
  }
  const auto code = static_cast<std::uint16_t>(format_of(dtype).encode(value));
  std::memcpy(row + index * sizeof(code), &code, sizeof(code));
}

float wire_round(DType dtype, float value) {
  if (dtype == DType::kFp32) {
    return value;
  }
  return format_of(dtype).decode(format_of(dtype).encode(value));
}

void reference_reduce(const protocol::Reduction& reduction) {
  for (std::size_t i = 0; i < reduction.num_elems; ++i) {
    store_element(reduction.dtype, reduction.dst, i, reduce_element(reduction, i));
  }
}

void reference_quantize(const protocol::Quantization& quantization) {
  const std::size_t num_elems = quantization.num_elems;
  const std::size_t num_blocks = (num_elems + kScaleBlockElems - 1) / kScaleBlockElems;
  for (std::size_t block = 0; block < num_blocks; ++block) {
    const std::size_t begin = block * kScaleBlockElems;
    const std::size_t end = std::min<std::size_t>(begin + kScaleBlockElems, num_elems);
    const float inverse =
        store_block_scale(quantization, block, block_amax(quantization, begin, end));
    for (std::size_t i = begin; i < end; ++i) {
      const float value = load_element(DType::kBf16, quantization.src, i);
      const float scaled =
          std::copysign(value * inverse, value);  // 0 * inf is a NaN of no certain sign
      quantization.dst[i] = static_cast<std::byte>(kE4m3.encode(scaled));
    }
  }
  for (std::size_t i = num_blocks;
       quantization.format == protocol::ScaleFormat::kUe8m0 && i % 4 != 0;
       ++i) {
    quantization.scales[i] = std::byte{0};
  }
}

}  // namespace switchyard::sim
