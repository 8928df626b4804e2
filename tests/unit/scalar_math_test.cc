// The verifier's number formats, against their definitions.
#include "benchmarks/common/scalar_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace switchyard::bench {
namespace {

TEST(ScalarMath, KeepsEveryBf16AndFp16ValueInARoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const auto code = static_cast<std::uint16_t>(bits);
    if (!is_nan(bf16_to_float(code))) {
      ASSERT_EQ(float_to_bf16(bf16_to_float(code)), code);
    }
    if (!is_nan(fp16_to_float(code))) {
      ASSERT_EQ(float_to_fp16(fp16_to_float(code)), code);
    }
  }
}

TEST(ScalarMath, RoundsToNearestWithTiesToEven) {
  EXPECT_EQ(float_to_bf16(1.0F + 0x1p-8F), 0x3f80);            // tie, down to even
  EXPECT_EQ(float_to_bf16(1.0F + 0x1p-7F + 0x1p-8F), 0x3f82);  // tie, up to even
  EXPECT_EQ(float_to_bf16(1.0F + 0x1p-8F + 0x1p-20F), 0x3f81);
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(float_to_bf16(-0.0F), 0x8000);
  EXPECT_EQ(float_to_bf16(0x1p-133F), 0x0001);  // the least subnormal
  EXPECT_EQ(float_to_bf16(0x1p-134F), 0x0000);  // half of it, to even
  EXPECT_EQ(float_to_fp16(1.0F + 0x1p-11F), 0x3c00);
  EXPECT_EQ(float_to_fp16(65519.0F), 0x7bff);
  EXPECT_EQ(float_to_fp16(65520.0F), 0x7c00);
  EXPECT_EQ(float_to_fp16(0x1p-24F), 0x0001);
  EXPECT_EQ(float_to_fp16(0x1p-25F), 0x0000);
  EXPECT_EQ(float_to_fp16(-0x1.8p-25F), 0x8001);
}

TEST(ScalarMath, RoundsBf16AsItsFormatSaysBetweenAllNeighbours) {
  for (std::uint32_t code = 0; code < 0x7f80U; ++code) {
    for (const std::uint32_t rest : {0x0001U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
      const float x = std::bit_cast<float>(code << 16U | rest);
      ASSERT_EQ(float_to_bf16(x), round_magnitude(x, 7, -126)) << x;
      ASSERT_EQ(float_to_bf16(-x), round_magnitude(x, 7, -126) | 0x8000U) << x;
    }
  }
}

TEST(ScalarMath, RoundsToE4m3WithSaturation) {
  EXPECT_EQ(float_to_e4m3(448.0F), 0x7e);
  EXPECT_EQ(float_to_e4m3(1e9F), 0x7e);
  EXPECT_EQ(float_to_e4m3(-1e9F), 0xfe);
  EXPECT_EQ(float_to_e4m3(1.0F), 0x38);
  EXPECT_EQ(float_to_e4m3(1.0625F), 0x38);  // tie, to even
  EXPECT_EQ(float_to_e4m3(1.1875F), 0x3a);
  EXPECT_EQ(float_to_e4m3(0x1p-9F), 0x01);
  EXPECT_EQ(float_to_e4m3(0x1p-10F), 0x00);
  EXPECT_EQ(float_to_e4m3(-std::numeric_limits<float>::quiet_NaN()) & 0x7f, 0x7f);
}

TEST(ScalarMath, ScalesEachBlockByItsLargestMagnitude) {
  std::uint16_t row[256] = {};
  row[3] = float_to_bf16(-2.0F);
  row[130] = float_to_bf16(0.5F);
  std::byte codes[256];
  float scales[2];
  quantize_reference({codes,
                      reinterpret_cast<std::byte*>(scales),
                      reinterpret_cast<const std::byte*>(row),
                      256,
                      protocol::ScaleFormat::kFp32});
  EXPECT_EQ(scales[0], 2.0F / 448.0F);
  EXPECT_EQ(scales[1], 0.5F / 448.0F);
  EXPECT_EQ(codes[3], std::byte{0xfe});
  EXPECT_EQ(codes[130], std::byte{0x7e});
  std::byte exponents[4] = {std::byte{9}, std::byte{9}, std::byte{9}, std::byte{9}};
  quantize_reference({codes,
                      exponents,
                      reinterpret_cast<const std::byte*>(row),
                      256,
                      protocol::ScaleFormat::kUe8m0});
  EXPECT_EQ(exponents[0], std::byte{127 - 7});  // 2 / 448 = 1 / 224, up to 1 / 128
  EXPECT_EQ(exponents[1], std::byte{127 - 9});
  EXPECT_EQ(exponents[2], std::byte{0});
  EXPECT_EQ(codes[3], std::byte{0xf8});  // -2 * 128 = -256
}

}  // namespace
}  // namespace switchyard::bench
