// quantize_row against the reference, bit for bit, on every instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "benchmarks/sim/guarded_buffer.h"
#include "benchmarks/sim/reference_math.h"
#include "csrc/targets/host/row_ops.h"
#include "tests/support/simd_targets.h"

namespace switchyard::host {
namespace {

using protocol::Quantization;
using protocol::ScaleFormat;
using sim::GuardedBuffer;

constexpr ScaleFormat kFormats[] = {ScaleFormat::kFp32, ScaleFormat::kUe8m0};

std::size_t scale_bytes(std::size_t num_elems, ScaleFormat format) {
  const std::size_t num_blocks = (num_elems + kScaleBlockElems - 1) / kScaleBlockElems;
  return format == ScaleFormat::kFp32 ? num_blocks * sizeof(float) : (num_blocks + 3) / 4 * 4;
}

void expect_same(const GuardedBuffer& got, const GuardedBuffer& wanted, const char* what) {
  const auto mismatch = std::mismatch(got.row().begin(), got.row().end(), wanted.row().begin());
  if (mismatch.first != got.row().end()) {
    ADD_FAILURE() << what << " differ at byte " << mismatch.first - got.row().begin() << " of "
                  << got.row().size() << ": got " << std::to_integer<int>(*mismatch.first)
                  << ", wanted " << std::to_integer<int>(*mismatch.second);
  }
  EXPECT_TRUE(got.guards_intact()) << "written outside of the " << what;
}

/// The source ends where its allocation ends, so that a sanitizer sees reads past it.
void check(const std::vector<std::uint16_t>& src,
           ScaleFormat format,
           std::size_t misalignment = 0) {
  const GuardedBuffer wanted_values(src.size());
  const GuardedBuffer wanted_scales(scale_bytes(src.size(), format));
  Quantization quantization{.dst = wanted_values.data(),
                            .scales = wanted_scales.data(),
                            .src = reinterpret_cast<const std::byte*>(src.data()),
                            .num_elems = static_cast<std::uint32_t>(src.size()),
                            .format = format};
  sim::reference_quantize(quantization);
  test::for_each_simd_target([&] {
    const GuardedBuffer values(src.size(), misalignment);
    const GuardedBuffer scales(scale_bytes(src.size(), format), misalignment);
    quantization.dst = values.data();
    quantization.scales = scales.data();
    quantize_row(quantization);
    expect_same(values, wanted_values, "values");
    expect_same(scales, wanted_scales, "scales");
  });
}

std::uint16_t bf16(float value) {
  return static_cast<std::uint16_t>(sim::kBf16.encode(value));
}

TEST(QuantizeRow, MatchesTheReferenceWhenEveryBf16ValueIsQuantised) {
  std::vector<std::uint16_t> src(65536);
  for (std::size_t i = 0; i < src.size(); ++i) {
    src[i] = static_cast<std::uint16_t>(i);
  }
  for (const ScaleFormat format : kFormats) {
    check(src, format);
  }
}

TEST(QuantizeRow, MatchesTheReferenceWhenEveryValueMeetsEveryScale) {
  // One value per block fixes the scale; the rest of the block steps through the magnitudes below
  // it.
  for (const ScaleFormat format : kFormats) {
    for (std::uint32_t amax = 0; amax < 0x7f80U; amax += 37) {
      std::vector<std::uint16_t> src(std::size_t{4} * kScaleBlockElems);
      for (std::size_t i = 0; i < src.size(); ++i) {
        const auto below = static_cast<std::uint32_t>(i) * 5U;
        const std::uint32_t sign = i % 2 == 0 ? 0U : 0x8000U;
        src[i] = static_cast<std::uint16_t>((amax > below ? amax - below : amax) | sign);
      }
      check(src, format);
    }
  }
}

TEST(QuantizeRow, MatchesTheReferenceWhenValuesAreRandom) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  for (const ScaleFormat format : kFormats) {
    for (std::size_t num_elems = 8; num_elems <= 8192;
         num_elems = num_elems < 600 ? num_elems + 8 : num_elems * 2) {
      std::vector<std::uint16_t> src(num_elems);
      std::generate(src.begin(), src.end(), [&] { return bf16(normal(random)); });
      check(src, format, 16 * (num_elems / 8 % 4));
    }
  }
}

TEST(QuantizeRow, MatchesTheReferenceWhenBitsAreRandom) {
  std::mt19937 random(6);
  for (const ScaleFormat format : kFormats) {
    std::vector<std::uint16_t> src(1 << 16);
    std::generate(src.begin(), src.end(), [&] { return static_cast<std::uint16_t>(random()); });
    check(src, format);
  }
}

TEST(QuantizeRow, MapsTheLargestValueTo448WhenTheScaleIsFp32) {
  std::vector<std::uint16_t> src(kScaleBlockElems, bf16(1.0F));
  src[5] = bf16(-3.0F);
  std::vector<std::byte> values(src.size());
  float scale = 0.0F;
  quantize_row({.dst = values.data(),
                .scales = reinterpret_cast<std::byte*>(&scale),
                .src = reinterpret_cast<const std::byte*>(src.data()),
                .num_elems = kScaleBlockElems,
                .format = ScaleFormat::kFp32});
  EXPECT_EQ(scale, 3.0F / 448.0F);
  EXPECT_EQ(values[5], std::byte{0xfe});  // -448
  EXPECT_EQ(values[0], std::byte{0x71});  // 144, nearest to 149.33
}

TEST(QuantizeRow, RoundsTheScaleUpToAPowerOfTwoWhenTheFormatIsUe8m0) {
  const std::pair<float, int> kAmaxToExponent[] = {
      {448.0F, 127}, {450.0F, 128}, {224.0F, 126}, {446.0F, 127}, {896.0F, 128}, {0.0F, 105}};
  for (const auto& [amax, exponent] : kAmaxToExponent) {
    const std::vector<std::uint16_t> src(kScaleBlockElems, bf16(amax));
    std::vector<std::byte> values(src.size());
    std::vector<std::byte> scales(4, std::byte{0x77});
    quantize_row({.dst = values.data(),
                  .scales = scales.data(),
                  .src = reinterpret_cast<const std::byte*>(src.data()),
                  .num_elems = kScaleBlockElems,
                  .format = ScaleFormat::kUe8m0});
    EXPECT_EQ(std::to_integer<int>(scales[0]), exponent) << "largest value " << amax;
    EXPECT_EQ(scales[1], std::byte{0}) << "the group of four must be filled up with zeros";
    EXPECT_EQ(scales[3], std::byte{0});
  }
}

}  // namespace
}  // namespace switchyard::host
