// Every interleaving of steps and every moment at which a store may become visible, in worlds small
// enough for it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "benchmarks/sim/explore.h"
#include "benchmarks/sim/simulate.h"
#include "tests/support/seeds.h"

namespace switchyard::test {
namespace {

struct Case {
  const char* name;
  sim::SmallWorld world;
};

const std::array<Case, 15>& cases() {
  static const std::array<Case, 15> all{{
      {"DispatchRankMajor", {}},
      {"DispatchExpertMajor", {.layout = Layout::kExpertMajor}},
      {"DispatchExpertMajorWithCopiesByReceiver",
       {.layout = Layout::kExpertMajor, .expert_copies = ExpertCopies::kByReceiver}},
      {"DispatchPadded", {.layout = Layout::kPadded}},
      {"DispatchPaddedWithPlacesGivenAhead", {.layout = Layout::kPadded, .repeats = true}},
      {"DispatchAlongAHandle", {.follows = true}},
      {"DispatchThatOneRankRefuses", {.refused = true}},
      {"DispatchPaddedThatOneRankRefuses", {.layout = Layout::kPadded, .refused = true}},
      {"CombineOfRowsInTheHeap", {.combines = true}},
      {"CombineOfPrivateRows", {.combines = true, .expert_rows = sim::ExpertRows::kPrivate}},
      {"CombineExpertMajor", {.layout = Layout::kExpertMajor, .combines = true}},
      {"DispatchRankMajorOnTwoChannels", {.num_channels = 2}},
      {"CombineOfPrivateRowsOnTwoChannels",
       {.combines = true, .expert_rows = sim::ExpertRows::kPrivate, .num_channels = 2}},
      {"DispatchRankMajorAmongThree", {.num_ranks = 3}},
      {"CombineOfRowsInTheHeapAmongThree", {.combines = true, .num_ranks = 3}},
  }};
  return all;
}

class ExplorationTest : public testing::TestWithParam<Case> {};

TEST_P(ExplorationTest, FindsNothingInAnyOrder) {
  if (kSanitized) {
    GTEST_SKIP() << "explored in the builds without a sanitizer";
  }
  const bool is_small = GetParam().world.num_ranks == 2 && GetParam().world.num_channels == 1;
  for (const bool keep_blocked : {false, true}) {
    if (keep_blocked && !is_small) {
      break;
    }
    sim::Explorer explorer(sim::small_plan(GetParam().world), {.keep_blocked = keep_blocked});
    const sim::Exploration found = explorer.explore();
    fmt::print("  {:42} {:>9} states {:>9} steps {:>6} ends{}\n",
               GetParam().name,
               found.num_states,
               found.num_steps,
               found.num_ends,
               keep_blocked ? ", blocked steps gone on with" : "");
    EXPECT_EQ(found.problem, "");
    EXPECT_TRUE(found.complete);
  }
}

/// Where a function of csrc/protocol calls an ordered operation.
std::string site_of(const std::string& function, sim::Ordering ordering) {
  sim::SiteLog log;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    (void)sim::simulate({}, seed, &log);
  }
  for (const auto& [site, use] : log.uses()) {
    if (use.function == function && use.ordering == ordering) {
      return site;
    }
  }
  return "";
}

TEST(ExplorationControl, FindsTheRunThatGoesWrongWhenOneOperationOrdersNothing) {
  const struct {
    const char* function;
    sim::Ordering ordering;
    sim::SmallWorld world;
  } broken[] = {
      {"ScaleUpSend::publish", sim::Ordering::kRelease, {}},
      {"ScaleUpReceive::await_counts", sim::Ordering::kAcquire, {}},
      {"ScaleUpSend::await_placement", sim::Ordering::kAcquire, {}},
      {"MailboxCollector::read",
       sim::Ordering::kAcquire,
       {.combines = true, .expert_rows = sim::ExpertRows::kPrivate}},
      {"CombineCopyIn::copy_chunk",
       sim::Ordering::kAddRelease,
       {.combines = true, .expert_rows = sim::ExpertRows::kPrivate}},
  };
  for (const auto& each : broken) {
    const std::string site = site_of(each.function, each.ordering);
    ASSERT_NE(site, "") << each.function;
    sim::Explorer explorer(sim::small_plan(each.world), {.weaken = site});
    EXPECT_NE(explorer.explore().problem, "") << each.function << " at " << site;
  }
}

INSTANTIATE_TEST_SUITE_P(Exploration,
                         ExplorationTest,
                         testing::ValuesIn(cases()),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace switchyard::test
