// Combine copy-in of rank 1 of 3: its channel's share of rows and weights, into the region that was
// reserved for them.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/combine_fixture.h"

namespace switchyard::test {
namespace {

using protocol::Progress;
using protocol::RoleKind;
using protocol::WaitKind;

class CombineCopyInTest : public CombineTest {
 protected:
  CombineCopyInTest() {
    for (std::size_t i = 0; i < private_rows_.size(); ++i) {
      private_rows_[i] = static_cast<std::byte>(i + 1);
    }
  }
  sim::SimRole& copy_in(const runtime::Operation& operation, int channel) {
    return role(operation, RoleKind::kCombineCopyIn, channel);
  }
  void reserve(runtime::CombineOperation& operation) {
    operation.copy_in_region = allocate(kMe, operation.args.experts.copy_in.region_bytes());
    operation.flags.reserved = 1;
  }
  const std::byte* copy(const runtime::CombineOperation& operation, std::uint64_t offset) {
    return at(kMe, operation.copy_in_region) + offset;
  }
  void expect_row(const runtime::CombineOperation& operation, std::size_t row, bool there) {
    const std::byte* got = copy(operation, row * kRowBytes);
    if (there) {
      EXPECT_EQ(std::memcmp(got, private_rows_.data() + row * kRowBytes, kRowBytes), 0)
          << "row " << row;
    } else {
      EXPECT_EQ(*got, sim::Heaps::kFresh) << "row " << row;
    }
  }
};

TEST_F(CombineCopyInTest, WaitsUntilItsRegionIsReserved) {
  const auto operation = combine_private(false);
  expect_blocked(copy_in(*operation, 0), WaitKind::kLocalRole, -1);
  reserve(*operation);
  expect_done(copy_in(*operation, 0));
}

TEST_F(CombineCopyInTest, BringsItsShareOfEverySourcesRowsAndCountsItself) {
  const auto operation = combine_private(false);
  reserve(*operation);
  // Of rank 0's two rows, one each; rank 1's only row is the second channel's.
  expect_done(copy_in(*operation, 0));
  EXPECT_EQ(operation->flags.copied, 1U);
  expect_row(*operation, 0, true);
  expect_row(*operation, 1, false);
  expect_row(*operation, 2, false);
  expect_done(copy_in(*operation, 1));
  EXPECT_EQ(operation->flags.copied, 2U);
  expect_row(*operation, 1, true);
  expect_row(*operation, 2, true);
}

TEST_F(CombineCopyInTest, BringsWeightsBesideTheirRows) {
  const auto operation = combine_private(true);
  reserve(*operation);
  expect_done(copy_in(*operation, 0));
  expect_done(copy_in(*operation, 1));
  const protocol::CopyInLayout& layout = operation->args.experts.copy_in;
  EXPECT_EQ(
      std::memcmp(copy(*operation, layout.row_weights_offset()), weights_.data(), sizeof(weights_)),
      0);
  EXPECT_EQ(std::memcmp(copy(*operation, layout.row_topk_weights_offset()),
                        topk_weights_.data(),
                        sizeof(topk_weights_)),
            0);
}

TEST_F(CombineCopyInTest, BringsOnlyWeightsWhenRowsLieInTheHeap) {
  expert_rows_ = allocate(kMe, kRowsHere * kRowBytes);
  const auto operation = combine(rows_view(at(kMe, expert_rows_)), [&](CombineRequest& request) {
    request.row_weights = {weights_.data(), DType::kFp32, {kRowsHere}};
  });
  EXPECT_LE(operation->args.experts.copy_in.region_bytes(), 4096U);
  reserve(*operation);
  expect_done(copy_in(*operation, 0));
  expect_done(copy_in(*operation, 1));
  EXPECT_EQ(std::memcmp(copy(*operation, operation->args.experts.copy_in.row_weights_offset()),
                        weights_.data(),
                        sizeof(weights_)),
            0);
}

TEST_F(CombineCopyInTest, FindsTheRowsOfEveryExpertWhenARowIsOneExperts) {
  (void)handle(Layout::kExpertMajor);
  const auto operation = combine_private(false);
  reserve(*operation);
  expect_done(copy_in(*operation, 0));
  expect_done(copy_in(*operation, 1));
  for (std::size_t row = 0; row < 3; ++row) {
    expect_row(*operation, row, true);
  }
}

TEST_F(CombineCopyInTest, ReadsStridedRows) {
  std::vector<std::byte> rows(3 * 48);
  for (std::size_t row = 0; row < 3; ++row) {
    std::memcpy(rows.data() + row * 48, private_rows_.data() + row * kRowBytes, kRowBytes);
  }
  ConstTensorView view = rows_view(rows.data());
  view.strides[0] = 24;
  const auto operation = combine(view);
  reserve(*operation);
  expect_done(copy_in(*operation, 0));
  expect_done(copy_in(*operation, 1));
  for (std::size_t row = 0; row < 3; ++row) {
    expect_row(*operation, row, true);
  }
}

TEST_F(CombineCopyInTest, LeavesWithoutATraceWhenTheOperationFailed) {
  const auto operation = combine_private(false);
  reserve(*operation);
  operation->flags.failed = 1;
  expect_done(copy_in(*operation, 1));
  EXPECT_EQ(operation->flags.copied, 0U);
  expect_row(*operation, 2, false);
}

}  // namespace
}  // namespace switchyard::test
