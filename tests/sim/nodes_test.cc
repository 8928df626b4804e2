// The scale-out roles on a modelled network: every row once, every sum exact, every fault named, on
// two nodes and more; and what these runs must not miss.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>

#include "benchmarks/sim/exchange_run.h"
#include "benchmarks/sim/simulate.h"
#include "tests/support/seeds.h"

namespace switchyard::test {
namespace {

constexpr sim::PlanLimits kTwoNodes{.min_ranks = 1, .max_ranks = 3, .num_nodes = 2};

/// Runs the seeds; returns in how many the group failed.
std::uint64_t expect_seeds_pass(std::uint64_t count, const sim::SimOptions& options) {
  std::uint64_t num_faulted = 0;
  for_each_seed(count, [&](std::uint64_t seed) {
    const sim::SimReport report = sim::simulate(options, seed);
    EXPECT_TRUE(report.ok) << report.problem;
    num_faulted += report.faulted ? 1 : 0;
  });
  return num_faulted;
}

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

/// The first seed of which the run goes wrong in the world that `breaks` made, up to `count`.
template <class Breaks>
std::optional<std::uint64_t> first_failing_seed(std::uint64_t count, const Breaks& breaks) {
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    const sim::ExchangePlan plan = sim::make_plan(seed, kTwoNodes);
    sim::WorldOptions options = sim::world_options(plan, seed);
    breaks(options);
    sim::ExchangeRun run(plan, options);
    try {
      run.run();
    } catch (const sim::ModelViolation&) {
      return seed;
    }
  }
  return std::nullopt;
}

TEST(NodesControl, IsNoticedWithin20SeedsWhenSignalsPassThePutsBeforeThem) {
  EXPECT_TRUE(first_failing_seed(
      20, [](sim::WorldOptions& options) { options.network.signals_pass_puts = true; }));
}

TEST(NodesControl, IsNoticedWithin50SeedsWhenMessagesTakeEffectTwice) {
  EXPECT_TRUE(first_failing_seed(50, [](sim::WorldOptions& options) {
    options.network.duplicate = 0.3;
    options.network.takes_duplicates = true;
  }));
}

}  // namespace
}  // namespace switchyard::test
