// bf16 to e4m3 with one scale per block, as protocol::Quantization states.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "csrc/protocol/check.h"
#include "csrc/targets/host/row_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "csrc/targets/host/quantize_row.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "csrc/targets/host/row_convert-inl.h"
#include "csrc/targets/host/row_store-inl.h"
#include "hwy/highway.h"

#ifndef SWITCHYARD_TARGETS_HOST_QUANTIZE_ROW_ONCE_
#define SWITCHYARD_TARGETS_HOST_QUANTIZE_ROW_ONCE_
namespace switchyard::host {

using protocol::kE4m3Max;
using protocol::kMinAmax;
/// Blocks whose scales are computed before their values are, which would otherwise wait for them.
/// measured: AVX-512, AMD EPYC (Zen 5), 7168 elements in cache, 2026-11-24, GB/s read plus written:
///   1 block 14.5, 4 blocks 22.3, 8 blocks 21.2, 16 blocks 22.9, 32 blocks 23.1
inline constexpr std::size_t kBatchBlocks = 16;
/// ue8m0 scales are packed in groups of this many.
inline constexpr std::size_t kScaleGroup = 4;

inline constexpr std::uint32_t kInfiniteExponent = 255;

/// Biased exponent of the smallest power of two >= value: one more unless the mantissa is zero.
/// `value` is positive and normal; infinity gives 255.
inline std::uint32_t ceil_exponent(float value) {
  return (std::bit_cast<std::uint32_t>(value) + 0x7fffffU) >> 23;
}

/// Stores the scale of a block and returns its inverse.
inline float store_scale(const protocol::Quantization& quantization,
                         std::size_t block_idx,
                         float amax) {
  const float scale = amax / kE4m3Max;
  if (quantization.format == protocol::ScaleFormat::kFp32) {
    std::memcpy(quantization.scales + block_idx * sizeof(float), &scale, sizeof(float));
    return kE4m3Max / amax;
  }
  const std::uint32_t exponent = ceil_exponent(scale);
  quantization.scales[block_idx] = static_cast<std::byte>(exponent);
  return exponent < kInfiniteExponent ? std::bit_cast<float>((254U - exponent) << 23) : 0.0F;
}

}  // namespace switchyard::host
#endif  // SWITCHYARD_TARGETS_HOST_QUANTIZE_ROW_ONCE_

HWY_BEFORE_NAMESPACE();
namespace switchyard::host::HWY_NAMESPACE {

/// A block of the source row.
struct Block {
  const std::byte* src;
  std::size_t bytes;

  /// The part of the block in whole vectors; granules follow.
  [[nodiscard]] HWY_INLINE std::size_t body_bytes() const {
    return bytes / vector_bytes(WordTag()) * vector_bytes(WordTag());
  }
};

/// |x| of bf16 values in the upper halves, as bits, which order as the values do; NaN gives 0.
template <class DI>
HWY_INLINE hn::Vec<DI> magnitude_bits(DI di, hn::Vec<DI> words) {
  const auto bits = hn::And(words, hn::Set(di, 0x7fff0000));
  return hn::IfThenZeroElse(hn::Gt(bits, hn::Set(di, 0x7f800000)), bits);
}

/// Bits of the largest |x| in src[begin, end), NaN not counted.
template <class DU>
HWY_INLINE std::int32_t range_amax(DU du,
                                   const std::byte* src,
                                   std::size_t begin,
                                   std::size_t end) {
  const hn::RebindToSigned<DU> di;
  auto largest = hn::Zero(di);
  for (std::size_t offset = begin; offset < end; offset += vector_bytes(du)) {
    const auto words = hn::BitCast(di, load_words(du, src + offset));
    const auto first = magnitude_bits(di, hn::ShiftLeft<16>(words));
    largest = hn::Max(largest, hn::Max(first, magnitude_bits(di, words)));
  }
  return hn::GetLane(hn::MaxOfLanes(di, largest));
}

HWY_INLINE float block_amax(const Block& block) {
  const std::int32_t bits =
      std::max(range_amax(WordTag(), block.src, 0, block.body_bytes()),
               range_amax(GranuleTag(), block.src, block.body_bytes(), block.bytes));
  return std::max(std::bit_cast<float>(bits), kMinAmax);
}

template <class DU>
HWY_INLINE void quantize_words(DU du, const std::byte* src, float inverse, std::byte* dst) {
  const hn::Rebind<std::uint16_t, DU> du16;
  const auto factor = hn::Set(FloatTag<DU>(), inverse);
  const auto words = load_words(du, src);
  const auto first = e4m3_magnitude(du, hn::Mul(Bf16Wire::first(du, words), factor));
  const auto second = e4m3_magnitude(du, hn::Mul(Bf16Wire::second(du, words), factor));
  const auto signs = hn::Or(hn::And(hn::ShiftRight<8>(words), hn::Set(du, 0x80U)),
                            hn::And(hn::ShiftRight<16>(words), hn::Set(du, 0x8000U)));
  const auto pairs = hn::Or(hn::Or(first, hn::ShiftLeft<8>(second)), signs);
  const auto narrowed = hn::DemoteTo(du16, hn::BitCast(hn::RebindToSigned<DU>(), pairs));
  hn::StoreU(narrowed, du16, reinterpret_cast<std::uint16_t*>(dst));
}

HWY_INLINE void quantize_block(const Block& block, float inverse, std::byte* dst) {
  const std::size_t body = block.body_bytes();
  for (std::size_t offset = 0; offset < body; offset += vector_bytes(WordTag())) {
    quantize_words(WordTag(), block.src + offset, inverse, dst + offset / 2);
  }
  for (std::size_t offset = body; offset < block.bytes; offset += vector_bytes(GranuleTag())) {
    quantize_words(GranuleTag(), block.src + offset, inverse, dst + offset / 2);
  }
}

Block block_of(const protocol::Quantization& quantization, std::size_t block_idx) {
  const std::size_t begin = block_idx * kScaleBlockElems;
  const std::size_t elems = std::min<std::size_t>(kScaleBlockElems, quantization.num_elems - begin);
  return {quantization.src + begin * sizeof(std::uint16_t), elems * sizeof(std::uint16_t)};
}

/// First all scales of a batch of blocks, then their values: within one block, the values would
/// wait for the scale.
void quantize_batch(const protocol::Quantization& quantization,
                    std::size_t begin,
                    std::size_t end) {
  float inverses[kBatchBlocks];
  for (std::size_t i = begin; i < end; ++i) {
    inverses[i - begin] = store_scale(quantization, i, block_amax(block_of(quantization, i)));
  }
  for (std::size_t i = begin; i < end; ++i) {
    quantize_block(
        block_of(quantization, i), inverses[i - begin], quantization.dst + i * kScaleBlockElems);
  }
}

void quantize_row_impl(const protocol::Quantization& quantization) {
  const std::size_t num_blocks = (quantization.num_elems + kScaleBlockElems - 1) / kScaleBlockElems;
  for (std::size_t begin = 0; begin < num_blocks; begin += kBatchBlocks) {
    quantize_batch(quantization, begin, std::min(begin + kBatchBlocks, num_blocks));
  }
  if (quantization.format == protocol::ScaleFormat::kUe8m0) {
    const std::size_t padded = (num_blocks + kScaleGroup - 1) / kScaleGroup * kScaleGroup;
    std::fill(quantization.scales + num_blocks, quantization.scales + padded, std::byte{0});
  }
}

}  // namespace switchyard::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace switchyard::host {

HWY_EXPORT(quantize_row_impl);

void quantize_row(const protocol::Quantization& quantization) {
  SY_CHECK(quantization.format != protocol::ScaleFormat::kNone, "a quantised row has scales");
  SY_CHECK(quantization.num_elems % 8 == 0, "rows end on 16 bytes");
  HWY_DYNAMIC_DISPATCH(quantize_row_impl)(quantization);
}

}  // namespace switchyard::host
#endif  // HWY_ONCE
