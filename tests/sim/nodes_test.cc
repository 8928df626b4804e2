// The scale-out roles on a modelled network: every row once, every sum exact, every fault named, on
// two nodes and more; and what these runs must not miss.
#include <gtest/gtest.h>

#include <cstdint>

#include "benchmarks/sim/simulate.h"
#include "tests/support/sim_seeds.h"

namespace switchyard::test {
namespace {

constexpr sim::PlanLimits kTwoNodes{.min_ranks = 1, .max_ranks = 3, .num_nodes = 2};

TEST(Nodes, EveryRowLandsOnceAndEverySumIsExactOnTwoNodes) {
  expect_seeds_pass(2000, {.limits = kTwoNodes});
}

TEST(Nodes, EveryRowLandsOnceAndEverySumIsExactOnThreeToEightNodes) {
  expect_seeds_pass(300, {.limits = {.min_ranks = 1, .max_ranks = 2, .num_nodes = 3}});
  expect_seeds_pass(
      50, {.limits = {.min_ranks = 1, .max_ranks = 2, .num_nodes = 8, .max_operations = 3}});
}

TEST(Nodes, EveryRowLandsOnceAndEverySumIsExactWhenTokensFillTheTracksManyTimes) {
  sim::PlanLimits limits = kTwoNodes;
  limits.max_operations = 3;
  limits.max_tokens = 40;
  expect_seeds_pass(200, {.limits = limits});
}

TEST(Nodes, OperationsTakeTurnsOnTheTracksWhenFourAreInFlight) {
  sim::PlanLimits limits = kTwoNodes;
  limits.min_in_flight = 3;
  limits.max_in_flight = 4;
  limits.max_operations = 12;
  expect_seeds_pass(300, {.limits = limits});
}

TEST(Nodes, EveryRankFailsAlikeAndGoesOnWhenOneRefuses) {
  sim::PlanLimits limits = kTwoNodes;
  limits.refusals = true;
  expect_seeds_pass(700, {.limits = limits});
  expect_seeds_pass(200, {.kind = sim::PlanKind::kWithdrawals, .limits = limits});
  EXPECT_EQ(expect_seeds_pass(500, {.limits = limits, .faults = {.tight = 1}}), 0U);
  expect_seeds_pass(300, {.limits = limits, .faults = {.wrap = 1}});
}

TEST(Nodes, SurvivorsNameTheRankThatIsLost) {
  EXPECT_GT(expect_seeds_pass(1000, {.limits = kTwoNodes, .faults = {.dead = 1}}), 0U);
  EXPECT_GT(expect_seeds_pass(1000, {.limits = kTwoNodes, .faults = {.stopped = 1}}), 0U);
  EXPECT_GT(expect_seeds_pass(500, {.limits = kTwoNodes, .faults = {.aborts = 1}}), 0U);
}

TEST(Nodes, AFlippedBitIsNoticedOrChangesNothing) {
  EXPECT_GT(expect_seeds_pass(2000, {.limits = kTwoNodes, .faults = {.flip = 1}}), 0U);
}

TEST(Nodes, ALostMessageIsAnErrorAndOneThatArrivesTwiceIsNone) {
  EXPECT_GT(expect_seeds_pass(700, {.limits = kTwoNodes, .faults = {.lost = 1}}), 0U);
  EXPECT_EQ(expect_seeds_pass(700, {.limits = kTwoNodes, .faults = {.twice = 1}}), 0U);
}

TEST(Nodes, EverythingAtOnceEndsWell) {
  sim::PlanLimits limits = kTwoNodes;
  limits.refusals = true;
  EXPECT_GT(expect_seeds_pass(1000, {.limits = limits, .faults = sim::FaultOptions::parse("all")}),
            0U);
}

TEST(NodesControl, IsNoticedWithin20SeedsWhenSignalsPassThePutsBeforeThem) {
  EXPECT_TRUE(first_failing_seed(
      20, kTwoNodes, [](sim::WorldOptions& options) { options.network.signals_pass_puts = true; }));
}

TEST(NodesControl, IsNoticedWithin50SeedsWhenMessagesTakeEffectTwice) {
  EXPECT_TRUE(first_failing_seed(50, kTwoNodes, [](sim::WorldOptions& options) {
    options.network.duplicate = 0.3;
    options.network.takes_duplicates = true;
  }));
}

}  // namespace
}  // namespace switchyard::test
