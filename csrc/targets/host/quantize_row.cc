// bf16 to e4m3 with one scale per block, as protocol::Quantization states.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

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

inline constexpr float kE4m3Max = 448.0F;
inline constexpr float kMinAmax = 1e-4F;
/// ue8m0 scales are packed in groups of this many.
inline constexpr std::size_t kScaleGroup = 4;

/// Biased exponent of the smallest power of two >= value: one more unless the mantissa is zero.
/// `value` is positive and normal; infinity gives 255.
inline std::uint32_t ceil_exponent(float value) {
  return (std::bit_cast<std::uint32_t>(value) + 0x7fffffU) >> 23;
}

/// Stores the scale of a block and returns its inverse.
inline float store_scale(const protocol::Quantization& quantization,
                         std::size_t block,
                         float amax) {
  const float scale = amax / kE4m3Max;
  if (quantization.format == protocol::ScaleFormat::kFp32) {
    std::memcpy(quantization.scales + block * sizeof(float), &scale, sizeof(float));
    return kE4m3Max / amax;
  }
  const std::uint32_t exponent = ceil_exponent(scale);
  quantization.scales[block] = static_cast<std::byte>(exponent);
  return 1.0F / std::bit_cast<float>(exponent << 23);
}

}  // namespace switchyard::host
#endif  // SWITCHYARD_TARGETS_HOST_QUANTIZE_ROW_ONCE_

HWY_BEFORE_NAMESPACE();
namespace switchyard::host::HWY_NAMESPACE {

/// Calls visit(tag, offset) for the vectors that cover src[0, bytes): full ones, then granules.
template <class Visit>
HWY_INLINE void visit_words(std::size_t bytes, const Visit& visit) {
  const WordTag du;
  const std::size_t body = bytes / vector_bytes(du) * vector_bytes(du);
  for (std::size_t offset = 0; offset < body; offset += vector_bytes(du)) {
    visit(du, offset);
  }
  for (std::size_t offset = body; offset < bytes; offset += vector_bytes(GranuleTag())) {
    visit(GranuleTag(), offset);
  }
}

/// Largest |x| of a block, NaN not counted, as bf16 bits in the upper half of a word (which order
/// as the values do).
struct BlockAmax {
  const std::byte* src;
  std::int32_t* amax_bits;

  template <class DU>
  static HWY_INLINE hn::Vec<hn::RebindToSigned<DU>> magnitude(DU du, Floats<DU> value) {
    const hn::RebindToSigned<DU> di;
    return hn::BitCast(di, replace_nan(du, value, hn::BitCast(du, hn::Abs(value)), 0U));
  }

  template <class DU>
  HWY_INLINE void operator()(DU du, std::size_t offset) const {
    const hn::RebindToSigned<DU> di;
    const auto words = load_words(du, src + offset);
    const auto largest = hn::Max(magnitude(du, Bf16Wire::first(du, words)),
                                 magnitude(du, Bf16Wire::second(du, words)));
    *amax_bits = std::max(*amax_bits, hn::GetLane(hn::MaxOfLanes(di, largest)));
  }
};

struct QuantizedBlock {
  std::byte* dst;
  const std::byte* src;
  float inverse;

  template <class DU>
  HWY_INLINE void operator()(DU du, std::size_t offset) const {
    const hn::RebindToSigned<DU> di;
    const hn::Rebind<std::uint16_t, DU> du16;
    const auto factor = hn::Set(FloatTag<DU>(), inverse);
    const auto words = load_words(du, src + offset);
    const auto first = e4m3_magnitude(du, hn::Mul(Bf16Wire::first(du, words), factor));
    const auto second = e4m3_magnitude(du, hn::Mul(Bf16Wire::second(du, words), factor));
    const auto signs = hn::Or(hn::And(hn::ShiftRight<8>(words), hn::Set(du, 0x80U)),
                              hn::And(hn::ShiftRight<16>(words), hn::Set(du, 0x8000U)));
    const auto pairs = hn::Or(hn::Or(first, hn::ShiftLeft<8>(second)), signs);
    hn::StoreU(hn::DemoteTo(du16, hn::BitCast(di, pairs)),
               du16,
               reinterpret_cast<std::uint16_t*>(dst + offset / 2));
  }
};

void quantize_row_impl(const protocol::Quantization& quantization) {
  const std::size_t num_elems = quantization.num_elems;
  const std::size_t num_blocks = (num_elems + kScaleBlockElems - 1) / kScaleBlockElems;
  for (std::size_t block = 0; block < num_blocks; ++block) {
    const std::size_t begin = block * kScaleBlockElems;
    const std::size_t elems = std::min<std::size_t>(kScaleBlockElems, num_elems - begin);
    const std::byte* src = quantization.src + begin * sizeof(std::uint16_t);
    std::int32_t amax_bits = std::bit_cast<std::int32_t>(kMinAmax);
    visit_words(elems * sizeof(std::uint16_t), BlockAmax{src, &amax_bits});
    const float inverse = store_scale(quantization, block, std::bit_cast<float>(amax_bits));
    visit_words(elems * sizeof(std::uint16_t),
                QuantizedBlock{quantization.dst + begin, src, inverse});
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
  HWY_DYNAMIC_DISPATCH(quantize_row_impl)(quantization);
}

}  // namespace switchyard::host
#endif  // HWY_ONCE
