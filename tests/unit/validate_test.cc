// Refusals of callers' tensors: each names the tensor, what was got and what is wanted.
#include "csrc/runtime/validate.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>

#include "switchyard/error.h"

namespace switchyard::runtime {
namespace {

alignas(64) std::array<std::byte, 4096> memory{};

ConstTensorView rows_view(std::int64_t num_rows, std::int64_t num_cols) {
  return {memory.data(), DType::kBf16, {num_rows, num_cols}};
}

const RowsWanted kWanted{
    .name = "x", .dtypes = {DType::kBf16, DType::kFp16}, .num_rows = 4, .alignment = 16};

void expect_refused(const std::function<void()>& check, const std::string& text) {
  try {
    check();
    ADD_FAILURE() << "accepted; wanted a refusal with: " << text;
  } catch (const InvalidArgument& error) {
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

void expect_rows_refused(const ConstTensorView& view, const std::string& text) {
  expect_refused([&] { check_rows(view, kWanted); }, text);
}

TEST(CheckRows, ReturnsPointerShapeAndStrideWhenAllIsWell) {
  ConstTensorView view = rows_view(4, 24);
  view.strides[0] = 32;
  const Rows rows = check_rows(view, kWanted);
  EXPECT_EQ(rows.data, memory.data());
  EXPECT_EQ(rows.num_rows, 4);
  EXPECT_EQ(rows.num_cols, 24);
  EXPECT_EQ(rows.stride_bytes, 64U);
}

TEST(CheckRows, RefusesWhatIsNotGiven) {
  expect_rows_refused({}, "x: got nothing, wanted a tensor");
}

TEST(CheckRows, RefusesAnotherElementTypeAndNamesThoseItTakes) {
  ConstTensorView view = rows_view(4, 8);
  view.dtype = DType::kFp32;
  expect_rows_refused(view, "x dtype: got fp32, wanted bf16 or fp16");
}

TEST(CheckRows, RefusesAnotherShape) {
  expect_rows_refused(rows_view(5, 8), "x shape: got [5, 8], wanted [4, any]");
  expect_rows_refused({memory.data(), DType::kBf16, {4}}, "wanted two dimensions");
  expect_rows_refused(rows_view(-4, 8), "x shape: got [-4, 8]");
  RowsWanted exact = kWanted;
  exact.num_cols = 16;
  expect_refused([&] { check_rows(rows_view(4, 8), exact); }, "wanted [4, 16]");
}

TEST(CheckRows, TakesMoreRowsWhenTheyAreAMinimum) {
  RowsWanted minimum = kWanted;
  minimum.at_least_rows = true;
  EXPECT_EQ(check_rows(rows_view(5, 8), minimum).num_rows, 5);
  expect_refused([&] { check_rows(rows_view(3, 8), minimum); }, "wanted [>= 4, any]");
}

TEST(CheckRows, RefusesStridesThatSkipElementsOrOverlapRows) {
  ConstTensorView view = rows_view(4, 8);
  view.strides = {16, 2};
  expect_rows_refused(view, "x innermost stride: got 2, wanted 1");
  view.strides = {4, 1};
  expect_rows_refused(view, "at least 8 elements (rows must not overlap)");
  view.strides = {9, 1};
  expect_rows_refused(view, "x row stride: got 18 bytes, wanted a multiple of 16 bytes");
}

TEST(CheckRows, RefusesNullAndMisalignedData) {
  ConstTensorView view = rows_view(4, 8);
  view.data = nullptr;
  expect_rows_refused(view, "x data: got null");
  view.data = memory.data() + 8;
  expect_rows_refused(view, "an address aligned to 16 bytes");
}

TEST(CheckRows, TakesAnyPointerWhenThereAreNoElements) {
  RowsWanted any = kWanted;
  any.num_rows = -1;
  EXPECT_EQ(check_rows({nullptr, DType::kBf16, {0, 8}}, any).num_rows, 0);
}

TEST(CheckRows, CollapsesLeadingDimensionsOnlyWhenTheyHaveNoGaps) {
  RowsWanted collapsing = kWanted;
  collapsing.num_rows = 12;
  collapsing.collapse_leading_dims = true;
  ConstTensorView view(memory.data(), DType::kBf16, {2, 3, 2, 8});
  const Rows rows = check_rows(view, collapsing);
  EXPECT_EQ(rows.num_rows, 12);
  EXPECT_EQ(rows.num_cols, 8);
  EXPECT_EQ(rows.stride_bytes, 16U);
  view.strides[0] = 64;
  expect_refused([&] { check_rows(view, collapsing); }, "leading dimensions without gaps");
}

Rows rows_at(std::size_t offset, std::int64_t num_rows, std::uint64_t stride_bytes) {
  return {memory.data() + offset, num_rows, 16, stride_bytes};
}

TEST(RowsOverlap, IsTrueWhereAByteBelongsToBoth) {
  const Rows rows = rows_at(64, 4, 32);
  EXPECT_TRUE(rows_overlap(rows, rows, 32));
  EXPECT_TRUE(rows_overlap(rows, rows_at(64 + 3 * 32, 1, 32), 32));
  EXPECT_TRUE(rows_overlap(rows_at(64 + 3 * 32 + 16, 2, 32), rows, 32));
  EXPECT_TRUE(rows_overlap(rows, rows_at(0, 3, 64), 32));
  EXPECT_FALSE(rows_overlap(rows, rows_at(64 + 4 * 32, 4, 32), 32));
  EXPECT_FALSE(rows_overlap(rows, rows_at(32, 1, 32), 32));
  EXPECT_FALSE(rows_overlap(rows, rows_at(64, 0, 32), 32));
}

TEST(RowsOverlap, IsFalseForColumnsOfOneMatrixSideBySide) {
  const Rows left = rows_at(0, 8, 96);
  EXPECT_FALSE(rows_overlap(left, rows_at(32, 8, 96), 32));
  EXPECT_FALSE(rows_overlap(rows_at(96 + 64, 4, 96), left, 32));
  EXPECT_TRUE(rows_overlap(left, rows_at(16, 8, 96), 32));
  EXPECT_TRUE(rows_overlap(left, rows_at(80, 8, 96), 32));  // its end is the next row's begin
}

TEST(CheckVector, ReturnsItsPointerOrNamesWhatIsWrong) {
  const RowsWanted wanted{.name = "w", .dtypes = {DType::kFp32}, .num_rows = 6, .alignment = 4};
  ConstTensorView view(memory.data(), DType::kFp32, {6});
  EXPECT_EQ(check_vector(view, wanted), memory.data());
  view.strides[0] = 2;
  expect_refused([&] { check_vector(view, wanted); }, "w stride: got 2, wanted 1");
  expect_refused(
      [&] {
        check_vector({memory.data(), DType::kFp32, {5}}, wanted);
      },
      "w shape: got [5], wanted [6]");
  expect_refused(
      [&] {
        check_vector({memory.data(), DType::kFp32, {6, 1}}, wanted);
      },
      "w shape: got [6, 1], wanted [6]");
  expect_refused(
      [&] {
        check_vector({memory.data(), DType::kFp16, {6}}, wanted);
      },
      "w dtype: got fp16, wanted fp32");
}

}  // namespace
}  // namespace switchyard::runtime
