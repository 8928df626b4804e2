// The generated rows: the same on every machine, finite, in range, and different wherever two rows
// should differ.
#include "benchmarks/common/token_data.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "benchmarks/common/scalar_math.h"

namespace switchyard::bench {
namespace {

constexpr int kHidden = 1024;

std::vector<std::byte> token_row(const RowFormat& format, TokenId id) {
  std::vector<std::byte> row(static_cast<std::size_t>(format.hidden) * dtype_bytes(format.dtype));
  fill_token_row(format, id, row.data());
  return row;
}

std::vector<std::byte> expert_row(const RowFormat& format, TokenId id, int producer) {
  std::vector<std::byte> row(static_cast<std::size_t>(format.hidden) * dtype_bytes(format.dtype));
  fill_expert_row(format, id, producer, row.data());
  return row;
}

class TokenDataOfType : public ::testing::TestWithParam<DType> {};

TEST_P(TokenDataOfType, HoldsFiniteValuesBelowTwoWithVariedExponents) {
  const RowFormat format{GetParam(), kHidden, 3};
  const std::vector<std::byte> row = token_row(format, {1, 5});
  std::vector<float> values(kHidden);
  load_floats(format.dtype, row.data(), kHidden, values.data());
  std::set<int> exponents;
  int zeros = 0;
  for (const float value : values) {
    ASSERT_TRUE(std::isfinite(value));
    ASSERT_LT(std::fabs(value), 2.0F);
    if (value == 0.0F) {
      ++zeros;
      ASSERT_TRUE(std::signbit(value));
    } else {
      exponents.insert(std::ilogb(value));
    }
  }
  EXPECT_EQ(zeros, 1);
  EXPECT_EQ(exponents, (std::set<int>{-7, -6, -5, -4, -3, -2, -1, 0}));
}

TEST_P(TokenDataOfType, DiffersWhereverRowsShouldDiffer) {
  RowFormat format{GetParam(), kHidden, 3};
  const std::vector<std::byte> row = token_row(format, {1, 5});
  EXPECT_EQ(token_row(format, {1, 5}), row);
  EXPECT_NE(token_row(format, {5, 1}), row);
  EXPECT_NE(token_row(format, {1, 6}), row);
  EXPECT_NE(expert_row(format, {1, 5}, 0), row);
  EXPECT_NE(expert_row(format, {1, 5}, 0), expert_row(format, {1, 5}, 1));
  format.seed = 4;
  EXPECT_NE(token_row(format, {1, 5}), row);
}

INSTANTIATE_TEST_SUITE_P(TokenData,
                         TokenDataOfType,
                         ::testing::Values(DType::kBf16, DType::kFp16, DType::kFp32),
                         [](const auto& instance) { return dtype_name(instance.param); });

TEST(TokenData, NeverMakesAnFp8Nan) {
  for (const std::byte value : token_row({DType::kFp8E4m3, 1 << 16, 1}, {0, 0})) {
    ASSERT_LT(static_cast<unsigned>(value) & 0x7fU, 0x40U);
  }
}

// Written down once; another machine or compiler must come to the same.
TEST(TokenData, WritesTheSameBitsOnEveryMachine) {
  std::uint64_t words[2] = {};
  const std::vector<std::byte> row = token_row({DType::kBf16, 8, 1}, {2, 3});
  std::memcpy(words, row.data(), sizeof(words));
  EXPECT_EQ(words[0], 0x8000bf64bff8be15U);
  EXPECT_EQ(words[1], 0xbd393d3b3fcb3ee7U);
}

TEST(TokenData, WritesWholeRowsAndNothingBeyond) {
  for (const int hidden : {1, 3, 8, 13, 128}) {
    std::vector<std::byte> memory(static_cast<std::size_t>(hidden) + 1,
                                  std::byte{0x7f});  // no fp8 value of ours
    fill_token_row({DType::kFp8E4m3, hidden, 1}, {0, 0}, memory.data());
    for (int i = 0; i < hidden; ++i) {
      EXPECT_NE(memory[static_cast<std::size_t>(i)], std::byte{0x7f}) << hidden;
    }
    EXPECT_EQ(memory.back(), std::byte{0x7f}) << hidden;
  }
}

TEST(TokenData, MakesPositiveScales) {
  std::vector<float> scales(56);
  fill_token_scales({DType::kFp8E4m3, 7168, 1},
                    protocol::ScaleFormat::kFp32,
                    {0, 9},
                    reinterpret_cast<std::byte*>(scales.data()));
  for (const float scale : scales) {
    EXPECT_GE(scale, 0x1p-7F);
    EXPECT_LT(scale, 2.0F);
  }
  std::vector<std::byte> exponents(56);
  fill_token_scales(
      {DType::kFp8E4m3, 7168, 1}, protocol::ScaleFormat::kUe8m0, {0, 9}, exponents.data());
  for (const std::byte exponent : exponents) {
    EXPECT_GE(static_cast<int>(exponent), 120);
    EXPECT_LE(static_cast<int>(exponent), 127);
  }
}

TEST(RankInputs, DescribesItsTensorsAsTheWorkloadSays) {
  Workload workload;
  workload.tokens = 6;
  workload.hidden = 2880;
  workload.dtype = DType::kFp8E4m3;
  workload.carried_scales = protocol::ScaleFormat::kUe8m0;
  workload.layout = Layout::kPadded;
  const RankInputs inputs(workload, 1, make_routing(workload, 1));
  const DispatchRequest request = inputs.request();
  EXPECT_EQ(request.x.shape[0], 6);
  EXPECT_EQ(request.x.shape[1], 2880);
  EXPECT_EQ(request.scales.dtype, DType::kUe8m0x4);
  EXPECT_EQ(request.scales.shape[1], 6);
  EXPECT_EQ(request.topk_idx.shape[1], 8);
  EXPECT_EQ(request.max_tokens, 6);
  const std::vector<std::byte> wanted = token_row(token_format(workload), {1, 4});
  const auto* got =
      static_cast<const std::byte*>(request.x.data) + 4 * request.x.row_stride_bytes();
  EXPECT_EQ(std::memcmp(got, wanted.data(), wanted.size()), 0);
}

}  // namespace
}  // namespace switchyard::bench
