// Groups that are a part of their world: what is dispatched and summed is what a world without the
// lost ranks would have, and what was lost is said entry by entry.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/masked_case.h"
#include "tests/support/moe_group.h"

namespace switchyard {
namespace {

using bench::Workload;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

Workload world(Layout layout) {
  return test::small_world(5, layout);
}

void run_members(const Membership& membership, const Workload& shape) {
  const auto num_members = static_cast<int>(membership.members.size());
  auto bootstraps = make_in_process_bootstraps(num_members);
  const auto errors = test::run_rank_threads(num_members, [&](int rank) {
    Group group(std::move(bootstraps[static_cast<std::size_t>(rank)]), {.membership = membership});
    EXPECT_EQ(group.world_rank(rank), membership.members[static_cast<std::size_t>(rank)]);
    Buffer buffer(group, test::test_config());
    const test::MaskedCase masked(shape, membership, rank);
    test::exchange(buffer, masked);
    test::exchange(buffer, masked);
    const DispatchHandle handle = buffer.dispatch(masked.request()).handle();
    EXPECT_THAT(handle.lost_entries(), ElementsAreArray(masked.lost_entries()));
    EXPECT_EQ(handle.num_experts(), 20);
    group.bootstrap().barrier();
  });
  EXPECT_THAT(errors, ::testing::Each(""));
}

class MembersPerLayout : public ::testing::TestWithParam<Layout> {};

TEST_P(MembersPerLayout, SurvivorsGoOnWithTheWorldsExperts) {
  run_members({.world_ranks = 5, .members = {0, 2, 4}}, world(GetParam()));
}

TEST_P(MembersPerLayout, OneMemberIsLeft) {
  run_members({.world_ranks = 5, .members = {3}}, world(GetParam()));
}

TEST_P(MembersPerLayout, AWholeWorldLosesNothing) {
  const Membership membership{.world_ranks = 5, .members = {0, 1, 2, 3, 4}};
  auto bootstraps = make_in_process_bootstraps(5);
  const auto errors = test::run_rank_threads(5, [&](int rank) {
    Group group(std::move(bootstraps[static_cast<std::size_t>(rank)]), {.membership = membership});
    Buffer buffer(group, test::test_config());
    const test::MaskedCase masked(world(GetParam()), membership, rank);
    const DispatchResult landed = buffer.dispatch(masked.request());
    EXPECT_TRUE(landed.handle().lost_entries().empty());
    EXPECT_THAT(buffer.lost_ranks(), ::testing::IsEmpty());
    group.bootstrap().barrier();
  });
  EXPECT_THAT(errors, ::testing::Each(""));
}

INSTANTIATE_TEST_SUITE_P(Layouts,
                         MembersPerLayout,
                         ::testing::Values(Layout::kRankMajor,
                                           Layout::kExpertMajor,
                                           Layout::kPadded));

std::string refusal_of(const Membership& membership) {
  auto bootstraps = make_in_process_bootstraps(1);
  try {
    Group group(std::move(bootstraps[0]), {.membership = membership});
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Members, MustBeAscendingRanksOfTheWorldOneForEachRank) {
  EXPECT_THAT(refusal_of({.world_ranks = 4, .members = {4}}),
              HasSubstr("membership: got 1 members"));
  EXPECT_THAT(refusal_of({.world_ranks = 4, .members = {-1}}), HasSubstr("a world of 4 ranks: -1"));
  EXPECT_THAT(refusal_of({.world_ranks = 4, .members = {1, 2}}), HasSubstr("one for each rank"));
  EXPECT_THAT(refusal_of({.world_ranks = 4, .members = {}}), HasSubstr("0 members"));
  EXPECT_EQ(refusal_of({.world_ranks = 4, .members = {3}}), "accepted");
}

TEST(Members, ThatDifferBetweenRanksAreNamed) {
  auto bootstraps = make_in_process_bootstraps(2);
  const auto errors = test::run_rank_threads(2, [&](int rank) {
    Group group(std::move(bootstraps[static_cast<std::size_t>(rank)]),
                {.membership = {.world_ranks = 4, .members = {0, rank + 1}}});
  });
  EXPECT_THAT(errors, ::testing::Each(HasSubstr("membership: rank")));
}

TEST(Members, ExpertsMustDivideAmongTheRanksOfTheWorld) {
  auto bootstraps = make_in_process_bootstraps(1);
  Group group(std::move(bootstraps[0]), {.membership = {.world_ranks = 5, .members = {2}}});
  Buffer buffer(group, test::test_config());
  const test::MaskedCase masked(world(Layout::kRankMajor), {.world_ranks = 5, .members = {2}}, 0);
  DispatchRequest request = masked.request();
  request.num_experts = 16;
  try {
    (void)buffer.dispatch(request);
    ADD_FAILURE() << "accepted";
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), HasSubstr("multiple of the 5 ranks of the world"));
  }
  EXPECT_THAT(buffer.lost_ranks(), ElementsAreArray({0, 1, 3, 4}));
}

}  // namespace
}  // namespace switchyard
