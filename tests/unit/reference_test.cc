// The reference on a routing small enough to place every row by hand.
#include "benchmarks/common/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <tuple>
#include <vector>

#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Two ranks; rank 0 has experts 0 and 1, rank 1 has 2 and 3. Three tokens on rank 0, two on rank 1.
Workload workload_of(Layout layout) {
  Workload workload;
  workload.num_ranks = 2;
  workload.tokens = 3;
  workload.hidden = 8;
  workload.topk = 3;
  workload.num_experts = 4;
  workload.layout = layout;
  return workload;
}

RankRouting routing_of(std::vector<std::int64_t> topk_idx) {
  RankRouting routing{static_cast<int>(topk_idx.size() / 3), 3, std::move(topk_idx), {}, {}};
  routing.topk_weights.resize(routing.topk_idx.size());
  std::iota(routing.topk_weights.begin(), routing.topk_weights.end(), 1.0F);
  return routing;
}

std::vector<RankRouting> all_routing() {
  return {routing_of({1, 2, 0, -1, -1, -1, 3, 3, 0}), routing_of({2, 0, 3, 1, -1, 1})};
}

using Row = std::tuple<int, int, int>;  // source rank, token, local expert

std::vector<Row> rows_of(const Reference& reference) {
  std::vector<Row> rows;
  for (const LandedRow& row : reference.rows()) {
    rows.emplace_back(row.source_rank, row.token, row.local_expert);
  }
  return rows;
}

constexpr Row kEmpty{-1, -1, -1};

TEST(Reference, PutsRankMajorRowsInSourceAndTokenOrder) {
  const Reference reference(workload_of(Layout::kRankMajor), 0, all_routing());
  EXPECT_THAT(rows_of(reference),
              ElementsAre(Row{0, 0, -1}, Row{0, 2, -1}, Row{1, 0, -1}, Row{1, 1, -1}));
  EXPECT_THAT(reference.rows_from_rank(), ElementsAre(2, 2));
  EXPECT_THAT(reference.rows_per_expert(), ElementsAre(3, 2));
  EXPECT_THAT(reference.rows_per_expert_and_rank(), ElementsAre(2, 1, 1, 1));
  EXPECT_THAT(reference.expert_offsets(), IsEmpty());
  EXPECT_THAT(reference.row_of_entry(), ElementsAre(0, 0, 0, -1, -1, -1, 1, 1, 1));
  EXPECT_THAT(reference.rank_of_entry(), ElementsAre(0, 1, 0, -1, -1, -1, 1, 1, 0));
  EXPECT_THAT(reference.rows_to_rank(), ElementsAre(2, 2));
}

TEST(Reference, PutsExpertMajorRowsBehindEachOtherWithAlignment) {
  Workload workload = workload_of(Layout::kExpertMajor);
  workload.expert_alignment = 2;
  const Reference reference(workload, 0, all_routing());
  EXPECT_THAT(
      rows_of(reference),
      ElementsAre(Row{0, 0, 0}, Row{0, 2, 0}, Row{1, 0, 0}, kEmpty, Row{0, 0, 1}, Row{1, 1, 1}));
  EXPECT_THAT(reference.rows_from_rank(), ElementsAre(3, 2));
  EXPECT_THAT(reference.rows_per_expert(), ElementsAre(3, 2));
  EXPECT_THAT(reference.expert_offsets(), ElementsAre(0, 4, 6));
  EXPECT_EQ(reference.num_landed(), 5);
  // Token 2 names expert 3 twice: one row for both entries.
  EXPECT_THAT(reference.row_of_entry(), ElementsAre(4, 0, 0, -1, -1, -1, 2, 2, 1));
  EXPECT_THAT(reference.rows_to_rank(), ElementsAre(3, 2));
  EXPECT_THAT(reference.tokens_to_rank(), ElementsAre(2, 2));
}

TEST(Reference, GivesPaddedRowsFixedPlaces) {
  const Reference reference(workload_of(Layout::kPadded), 1, all_routing());
  EXPECT_THAT(rows_of(reference),
              ElementsAre(Row{0, 0, 0},
                          kEmpty,
                          kEmpty,
                          Row{1, 0, 0},
                          kEmpty,
                          kEmpty,  //
                          Row{0, 2, 1},
                          kEmpty,
                          kEmpty,
                          Row{1, 0, 1},
                          kEmpty,
                          kEmpty));
  EXPECT_THAT(reference.expert_offsets(), ElementsAre(0, 6, 12));
  EXPECT_THAT(reference.row_of_entry(), ElementsAre(3, 3, 9, 9, -1, 9));
}

TEST(Reference, SumsByRankInOrderOfItsLastPosition) {
  const Reference reference(workload_of(Layout::kExpertMajor), 0, all_routing());
  // Experts 1, 2, 0: rank 1 ends at position 1, rank 0 at position 2.
  const auto first = reference.contributions(0);
  ASSERT_EQ(first.size(), 3U);
  EXPECT_THAT((std::vector{first[0].producer, first[1].producer, first[2].producer}),
              ElementsAre(2, 1, 0));
  EXPECT_THAT((std::vector{first[0].closes_group, first[1].closes_group, first[2].closes_group}),
              ElementsAre(true, false, true));
  EXPECT_THAT(reference.contributions(1), IsEmpty());
  // Experts 3, 3, 0 with weights 7, 8, 9.
  const auto third = reference.contributions(2);
  ASSERT_EQ(third.size(), 2U);
  EXPECT_EQ(third[0].producer, 3);
  EXPECT_EQ(third[0].weight, 15.0F);
  EXPECT_EQ(third[1].producer, 0);
  EXPECT_EQ(third[1].weight, 9.0F);
}

TEST(Reference, SumsOneRowPerRankInRankMajor) {
  const Reference reference(workload_of(Layout::kRankMajor), 0, all_routing());
  const auto first = reference.contributions(0);
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[0].rank, 1);
  EXPECT_EQ(first[0].producer, 1);
  EXPECT_EQ(first[1].rank, 0);
  EXPECT_TRUE(first[0].closes_group && first[1].closes_group);
}

TEST(Reference, RefusesARankThatIsNotThere) {
  EXPECT_THROW(Reference(workload_of(Layout::kRankMajor), 2, all_routing()), InvalidArgument);
}

}  // namespace
}  // namespace switchyard::bench
