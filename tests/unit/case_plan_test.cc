#include "benchmarks/cli/case_plan.h"

#include <gmock/gmock.h>

#include <set>
#include <utility>
#include <vector>

#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::int64_t kHidden = 64;
constexpr std::int64_t kRowBytes = kHidden * 2;

BenchOptions small_options(Layout layout, int num_ranks) {
  BenchOptions options;
  options.workload.num_ranks = num_ranks;
  options.workload.hidden = kHidden;
  options.workload.topk = 3;
  options.workload.num_experts = 8;
  options.layouts = {layout};
  options.tokens = {16};
  return options;
}

CasePlan plan_one(const BenchOptions& options) {
  return plan_cases(options).at(0);
}

// Rows of all ranks that land, and those that land elsewhere, counted entry by entry.
std::pair<std::int64_t, std::int64_t> count_rows(const CasePlan& plan, bool one_per_expert) {
  std::int64_t all = 0;
  std::int64_t remote = 0;
  const Workload& workload = plan.workload;
  for (int rank = 0; rank < workload.num_ranks; ++rank) {
    const RankRouting& routing = (*plan.routing)[static_cast<std::size_t>(rank)];
    for (std::size_t token = 0; token < 16; ++token) {
      std::set<std::int64_t> rows;
      for (std::size_t k = 0; k < 3; ++k) {
        const std::int64_t expert = routing.topk_idx[token * 3 + k];
        const int target = workload.rank_of_expert(expert);
        if (rows.insert(one_per_expert ? expert : target).second) {
          ++all;
          remote += target != rank ? 1 : 0;
        }
      }
    }
  }
  return {all, remote};
}

TEST(CasePlan, CountsOneRowPerTokenAndRankWhenRankMajor) {
  const CasePlan plan = plan_one(small_options(Layout::kRankMajor, 4));
  const auto [all, remote] = count_rows(plan, false);
  // Header 16, three entries of index 8 and weight 4: 52, rounded up to 64.
  constexpr std::int64_t kMetadataBytes = 64;
  EXPECT_EQ(plan.dispatch.payload, all * kRowBytes);
  EXPECT_EQ(plan.dispatch.logical, all * (kRowBytes + kMetadataBytes));
  EXPECT_EQ(plan.dispatch.wire, remote * (kRowBytes + kMetadataBytes));
  EXPECT_EQ(plan.combine.payload, all * kRowBytes);
  EXPECT_EQ(plan.combine.logical, all * kRowBytes);
  EXPECT_EQ(plan.combine.wire, remote * kRowBytes);
  EXPECT_DOUBLE_EQ(plan.ranks_per_token, static_cast<double>(all) / 64);
}

TEST(CasePlan, CountsOneRowPerTokenAndExpertWhenExpertMajorOrPadded) {
  for (const Layout layout : {Layout::kExpertMajor, Layout::kPadded}) {
    const CasePlan plan = plan_one(small_options(layout, 4));
    const auto [all, remote] = count_rows(plan, true);
    constexpr std::int64_t kMetadataBytes = 32;
    EXPECT_EQ(plan.dispatch.payload, all * kRowBytes);
    EXPECT_EQ(plan.dispatch.wire, remote * (kRowBytes + kMetadataBytes));
    EXPECT_EQ(plan.combine.wire, remote * kRowBytes);
  }
}

TEST(CasePlan, SendsEachTokenOncePerRankWhenReceiversWriteTheCopies) {
  BenchOptions options = small_options(Layout::kExpertMajor, 2);
  const std::int64_t by_sender = plan_one(options).dispatch.wire;
  options.expert_copies = ExpertCopies::kByReceiver;
  const CasePlan plan = plan_one(options);
  EXPECT_LT(plan.dispatch.wire, by_sender);
  EXPECT_EQ(plan.dispatch.wire, count_rows(plan, false).second * (kRowBytes + 32));
}

TEST(CasePlan, SendsNothingOverTheWireWhenThereIsOneRank) {
  const CasePlan plan = plan_one(small_options(Layout::kRankMajor, 1));
  EXPECT_EQ(plan.dispatch.wire, 0);
  EXPECT_EQ(plan.combine.wire, 0);
  EXPECT_GT(plan.dispatch.payload, 0);
}

TEST(CasePlan, CountsFp8RowsWithTheirScalesWhenTheyAreQuantised) {
  BenchOptions options = small_options(Layout::kPadded, 2);
  options.workload.quantize = Quantize::kFp8ScalesFp32;
  const CasePlan plan = plan_one(options);
  const std::int64_t all = count_rows(plan, true).first;
  EXPECT_EQ(plan.dispatch.payload, all * kHidden);
  EXPECT_EQ(plan.dispatch.logical, all * (kHidden + 16 + 32));  // one scale in 16 bytes
  EXPECT_EQ(plan.combine.payload, all * kRowBytes);
}

TEST(CasePlan, MakesOneCasePerLayoutAndSizeWhenSeveralAreAsked) {
  BenchOptions options = small_options(Layout::kRankMajor, 2);
  options.layouts = {Layout::kRankMajor, Layout::kPadded};
  options.tokens = {1, 2};
  const std::vector<CasePlan> plans = plan_cases(options);
  ASSERT_EQ(plans.size(), 4U);
  EXPECT_EQ(plans[1].workload.layout, Layout::kRankMajor);
  EXPECT_EQ(plans[1].workload.tokens, 2);
  EXPECT_EQ(plans[2].workload.layout, Layout::kPadded);
  EXPECT_EQ(plans[2].workload.tokens, 1);
}

TEST(CasePlan, TakesTheGivenHeapWhenThereIsOne) {
  BenchOptions options = small_options(Layout::kRankMajor, 2);
  options.heap_bytes = 12345;
  EXPECT_EQ(plan_one(options).heap_bytes, 12345U);
}

TEST(CasePlan, RefusesWithBothSizesWhenTheMachineIsTooSmall) {
  const BenchOptions options = small_options(Layout::kRankMajor, 2);
  const std::vector<CasePlan> plans = plan_cases(options);
  EXPECT_NO_THROW(check_memory(plans, machine_bytes(plans[0])));
  EXPECT_NO_THROW(check_memory(options, machine_bytes(plans[0])));
  EXPECT_THROW(check_memory(options, 1000), InvalidArgument);
  try {
    check_memory(plans, machine_bytes(plans[0]) - 1);
    FAIL() << "nothing was thrown";
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("needs"), HasSubstr("available"), HasSubstr("--tokens")));
  }
}

}  // namespace
}  // namespace switchyard::bench
