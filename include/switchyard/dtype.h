// The element types that Switchyard carries, and their sizes. What they mean to arithmetic lives
// with the row operations of each target (csrc/targets/).
#pragma once

#include <cstddef>
#include <cstdint>

namespace switchyard {

enum class DType : std::uint8_t {
  kBf16 = 0,
  kFp16 = 1,
  kFp32 = 2,
  kFp8E4m3 =
      3,  ///< finite-only e4m3 (OCP "fn"): no infinities, NaN is 0x7f / 0xff, largest value 448
  kUe8m0x4 =
      4,  ///< four power-of-two scales (biased exponents) packed in 32 bits, lowest byte first
  kInt32 = 5,
  kInt64 = 6,
  kUint8 = 7,
};

/// Bytes of one element; a kUe8m0x4 element is the packed group of four.
constexpr std::size_t dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::kBf16:
    case DType::kFp16:
      return 2;
    case DType::kFp32:
    case DType::kUe8m0x4:
    case DType::kInt32:
      return 4;
    case DType::kInt64:
      return 8;
    case DType::kFp8E4m3:
    case DType::kUint8:
      return 1;
  }
  return 0;
}

constexpr const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kBf16:
      return "bf16";
    case DType::kFp16:
      return "fp16";
    case DType::kFp32:
      return "fp32";
    case DType::kFp8E4m3:
      return "fp8_e4m3";
    case DType::kUe8m0x4:
      return "ue8m0x4";
    case DType::kInt32:
      return "int32";
    case DType::kInt64:
      return "int64";
    case DType::kUint8:
      return "uint8";
  }
  return "unknown";
}

/// Elements that share one scale in block-scaled fp8, as in the DeepSeek-V3 report (1x128 tiles of
/// activations).
inline constexpr int kScaleBlockElems = 128;

}  // namespace switchyard
