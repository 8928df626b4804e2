// Combine accumulate of rank 1 of 3: reads each contribution where it was announced, sums in the
// contract's order, says when the rows are read. Contributions are written by hand.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "benchmarks/sim/guarded_buffer.h"
#include "benchmarks/sim/reference_math.h"
#include "tests/support/combine_fixture.h"

namespace switchyard::test {
namespace {

using protocol::Progress;
using protocol::RoleKind;
using protocol::WaitKind;

class CombineAccumulateTest : public CombineTest {
 protected:
  sim::SimRole& accumulate(const runtime::Operation& operation, int channel) {
    return role(operation, RoleKind::kCombineAccumulate, channel);
  }

  /// Every rank announced rows full of 2^row, scaled by 1, 10, 100 for ranks 0, 1, 2.
  void receive_rows(runtime::CombineOperation& operation) {
    const float scales[] = {1.0F, 10.0F, 100.0F};
    for (int rank = 0; rank < kNumRanks; ++rank) {
      const auto index = static_cast<std::size_t>(rank);
      const std::uint64_t rows = allocate(rank, 4096);
      for (std::size_t i = 0; i < 4 * kHidden; ++i) {
        const auto row = static_cast<int>(i / kHidden);
        sim::store_element(
            DType::kBf16, at(rank, rows), i, scales[rank] * static_cast<float>(1 << row));
      }
      operation.rows_at[index] = rows;
      operation.row_weights_at[index] = 0;
      operation.row_topk_weights_at[index] = 0;
    }
    if (operation.args.output.region_bytes != 0) {
      operation.out_region = allocate(kMe, operation.args.output.region_bytes);
    }
    operation.flags.placed = 1;
  }
  /// fp32 numbers in the heap of `rank`, at a place to announce.
  std::uint64_t receive_floats(int rank, const std::vector<float>& values) {
    const std::uint64_t region = allocate(rank, values.size() * sizeof(float));
    std::memcpy(at(rank, region), values.data(), values.size() * sizeof(float));
    return region;
  }
  void expect_sum(const std::byte* sums, std::size_t token, float wanted) {
    for (std::size_t i = 0; i < kHidden; ++i) {
      EXPECT_EQ(sim::load_element(DType::kBf16, sums, token * kHidden + i), wanted)
          << "token " << token << " element " << i;
    }
  }
  void run_both(const runtime::Operation& operation) {
    expect_done(accumulate(operation, 0));
    expect_done(accumulate(operation, 1));
  }
};

TEST_F(CombineAccumulateTest, WaitsUntilEveryRankHasAnnounced) {
  const auto operation = combine_in_place();
  expect_blocked(accumulate(*operation, 0), WaitKind::kLocalRole, -1);
  receive_rows(*operation);
  expect_done(accumulate(*operation, 0));
}

TEST_F(CombineAccumulateTest, SumsEachTokensRowsFromWhereTheyLie) {
  const auto operation = combine_in_place();
  receive_rows(*operation);
  run_both(*operation);
  // Rows of rank 1's tokens: token 0 is row 2 of rank 0 and row 0 of rank 2; token 1 row 2 here;
  // token 3 row 1 of rank 2.
  const std::byte* sums = at(kMe, operation->out_region);
  expect_sum(sums, 0, 4.0F + 100.0F);
  expect_sum(sums, 1, 40.0F);
  expect_sum(sums, 2, 0.0F);
  expect_sum(sums, 3, 200.0F);
}

TEST_F(CombineAccumulateTest, SumsEachExpertsRowWhenARowIsOneExperts) {
  (void)handle(Layout::kExpertMajor);
  const auto operation = combine_in_place();
  receive_rows(*operation);
  run_both(*operation);
  // Token 0 is rows 1 and 2 of rank 0 and row 1 of rank 2; token 1 row 2 here; token 3 row 0 there.
  const std::byte* sums = at(kMe, operation->out_region);
  expect_sum(sums, 0, 2.0F + 4.0F + 200.0F);
  expect_sum(sums, 1, 40.0F);
  expect_sum(sums, 2, 0.0F);
  expect_sum(sums, 3, 100.0F);
}

TEST_F(CombineAccumulateTest, WritesToTheCallersMemoryWithItsStride) {
  const sim::GuardedBuffer out(4 * 32);
  expert_rows_ = allocate(kMe, kRowsHere * kRowBytes);
  const auto operation = combine(rows_view(at(kMe, expert_rows_)), [&](CombineRequest& request) {
    request.out = {out.data(), DType::kBf16, {4, kHidden}};
    request.out.strides[0] = 16;
  });
  receive_rows(*operation);
  run_both(*operation);
  EXPECT_EQ(operation->out_region, protocol::kNoRegion);
  expect_sum(out.data(), 0, 104.0F);
  EXPECT_EQ(sim::load_element(DType::kBf16, out.data() + 3 * 32, 0), 200.0F);
  for (std::size_t token = 0; token < 4; ++token) {
    EXPECT_EQ(out.data()[token * 32 + 16], std::byte{0xa5});
  }
  EXPECT_TRUE(out.guards_intact());
}

TEST_F(CombineAccumulateTest, AddsBiasesFirstAlsoToTokensThatWentNowhere) {
  std::vector<std::byte> bias(4 * kRowBytes);
  for (std::size_t i = 0; i < 4 * kHidden; ++i) {
    sim::store_element(DType::kBf16, bias.data(), i, static_cast<float>(i / kHidden + 1));
  }
  expert_rows_ = allocate(kMe, kRowsHere * kRowBytes);
  const auto operation = combine(rows_view(at(kMe, expert_rows_)), [&](CombineRequest& request) {
    request.bias[0] = {bias.data(), DType::kBf16, {4, kHidden}};
    request.bias[1] = {bias.data(), DType::kBf16, {4, kHidden}};
  });
  receive_rows(*operation);
  run_both(*operation);
  const std::byte* sums = at(kMe, operation->out_region);
  expect_sum(sums, 0, 2.0F + 104.0F);
  expect_sum(sums, 2, 6.0F);
}

TEST_F(CombineAccumulateTest, WeighsRowsOfTheRanksThatAnnouncedWeights) {
  const auto operation = combine_in_place();
  receive_rows(*operation);
  operation->row_weights_at[0] = receive_floats(0, {9.0F, 9.0F, 0.5F});
  operation->row_weights_at[1] = receive_floats(1, {9.0F, 9.0F, 3.0F});
  run_both(*operation);
  const std::byte* sums = at(kMe, operation->out_region);
  expect_sum(sums, 0, 0.5F * 4.0F + 100.0F);
  expect_sum(sums, 1, 120.0F);
}

TEST_F(CombineAccumulateTest, WeighsRowsByTheTokensOwnWeights) {
  (void)handle(Layout::kExpertMajor);
  const std::vector<float> weights{0.5F, 2.0F, 0.25F, 3.0F, 9, 9, 9, 9, 9, 1.0F, 9, 9};
  expert_rows_ = allocate(kMe, kRowsHere * kRowBytes);
  const auto operation = combine(rows_view(at(kMe, expert_rows_)), [&](CombineRequest& request) {
    request.topk_weights = {weights.data(), DType::kFp32, {4, 3}};
  });
  receive_rows(*operation);
  run_both(*operation);
  const std::byte* sums = at(kMe, operation->out_region);
  expect_sum(sums, 0, 0.5F * 2.0F + 0.25F * 4.0F + 2.0F * 200.0F);
  expect_sum(sums, 1, 120.0F);
  expect_sum(sums, 3, 100.0F);
}

TEST_F(CombineAccumulateTest, SumsTopkWeightsPositionByPositionWhenARowIsOneRanks) {
  expert_rows_ = allocate(kMe, kRowsHere * kRowBytes);
  const auto operation = combine(rows_view(at(kMe, expert_rows_)), [&](CombineRequest& request) {
    request.row_topk_weights = {topk_weights_.data(), DType::kFp32, {kRowsHere, 3}};
  });
  receive_rows(*operation);
  operation->row_topk_weights_at[0] = receive_floats(0, {0, 0, 0, 0, 0, 0, 1, 2, 3});
  operation->row_topk_weights_at[2] = receive_floats(2, {10, 20, 30, 40, 50, 60});
  run_both(*operation);
  // Rank 1 announced none for token 1.
  EXPECT_EQ(operation->summed_topk_weights,
            (std::vector<float>{11, 22, 33, 0, 0, 0, 0, 0, 0, 40, 50, 60}));
}

TEST_F(CombineAccumulateTest, GivesEachEntryTheTopkWeightOfItsRowWhenARowIsOneExperts) {
  (void)handle(Layout::kExpertMajor);
  expert_rows_ = allocate(kMe, kRowsHere * kRowBytes);
  const auto operation = combine(rows_view(at(kMe, expert_rows_)), [&](CombineRequest& request) {
    request.row_topk_weights = {topk_weights_.data(), DType::kFp32, {kRowsHere, 1}};
  });
  receive_rows(*operation);
  operation->row_topk_weights_at[0] = receive_floats(0, {1, 2, 3});
  operation->row_topk_weights_at[1] = receive_floats(1, {4, 5, 6});
  operation->row_topk_weights_at[2] = receive_floats(2, {7, 8});
  run_both(*operation);
  EXPECT_EQ(operation->summed_topk_weights,
            (std::vector<float>{2, 8, 3, 6, 0, 0, 0, 0, 0, 7, 0, 0}));
}

TEST_F(CombineAccumulateTest, TellsEveryHolderOnceItsShareIsRead) {
  const auto operation = combine_in_place();
  receive_rows(*operation);
  const protocol::OperationArgs& op = operation->args.op;
  EXPECT_EQ(accumulate(*operation, 1).step(), Progress::kAdvanced);  // sees the rows
  EXPECT_EQ(accumulate(*operation, 1).step(), Progress::kAdvanced);  // two tokens
  world_.memory().publish_all();
  expect_not_sent(op.progress_at(0, 1), *operation);
  EXPECT_EQ(accumulate(*operation, 1).step(), Progress::kDone);
  world_.memory().publish_all();
  for (int holder = 0; holder < kNumRanks; ++holder) {
    expect_progress(*operation, holder, 1, protocol::kRowsRead);
    expect_not_sent(op.progress_at(holder, 0), *operation);
  }
}

TEST_F(CombineAccumulateTest, LeavesWithoutATraceWhenTheOperationFailed) {
  const auto operation = combine_in_place();
  receive_rows(*operation);
  operation->flags.failed = 1;
  expect_done(accumulate(*operation, 0));
  EXPECT_EQ(*at(kMe, operation->out_region), sim::Heaps::kFresh);
  expect_not_sent(operation->args.op.progress_at(0, 0), *operation);
}

}  // namespace
}  // namespace switchyard::test
