// Groups in which something goes wrong: every rank ends, in success or with a fault that names the
// lost rank and what it was waited for, no later than its deadline; survivors go on as a new group.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "benchmarks/sim/simulate.h"
#include "switchyard/error.h"
#include "tests/support/sim_seeds.h"

namespace switchyard::test {
namespace {

using Loss = sim::FaultPlan::Loss;

TEST(Faults, SurvivorsNameTheRankThatDied) {
  EXPECT_GT(expect_seeds_pass(1500, {.faults = {.dead = 1}}), 0U);
}

TEST(Faults, SurvivorsNameTheRankThatStoppedAlsoThroughOthersThatWaitForIt) {
  EXPECT_GT(expect_seeds_pass(1500, {.faults = {.stopped = 1}}), 0U);
  // In rows of more ranks.
  EXPECT_GT(expect_seeds_pass(
                500, {.limits = {.min_ranks = 4, .max_ranks = 6}, .faults = {.stopped = 1}}),
            0U);
}

TEST(Faults, EveryRankNamesTheOneThatAborted) {
  EXPECT_GT(expect_seeds_pass(1000, {.faults = {.aborts = 1}}), 0U);
}

TEST(Faults, NothingIsLostWhenStoresAreDelayedAndARankIsSlow) {
  EXPECT_EQ(expect_seeds_pass(500, {.faults = {.delay = 0.7, .slow = 0.7}}), 0U);
  EXPECT_EQ(expect_seeds_pass(300, {.faults = {.reorder = 0}}), 0U);
}

TEST(Faults, EveryRankFailsAlikeWhenHeapsAreTight) {
  EXPECT_EQ(expect_seeds_pass(1000, {.faults = {.tight = 1}}), 0U);
  EXPECT_EQ(expect_seeds_pass(500, {.limits = {.refusals = true}, .faults = {.tight = 1}}), 0U);
  EXPECT_EQ(expect_seeds_pass(500, {.limits = {.max_in_flight = 1}, .faults = {.tight = 1}}), 0U);
}

TEST(Faults, AFlippedBitIsNoticedOrChangesNothing) {
  EXPECT_GT(expect_seeds_pass(4000, {.faults = {.flip = 1}}), 0U);
}

TEST(Faults, EverythingAtOnceEndsWell) {
  const sim::SimOptions options{.limits = {.refusals = true},
                                .faults = sim::FaultOptions::parse("all")};
  EXPECT_GT(expect_seeds_pass(2000, options), 0U);
}

/// One plan in which `victim` is lost after `turns` of its turns.
sim::SimReport run_loss(std::uint64_t seed,
                        Loss loss,
                        int victim,
                        std::uint64_t turns,
                        sim::FaultPlan::Control control = {}) {
  return sim::simulate({.limits = {.max_channels = 1, .max_operations = 3},
                        .lose = sim::ChosenLoss{loss, victim, turns},
                        .control = control},
                       seed);
}

TEST(Faults, SurvivorsNameTheLostRankWhicheverTurnWasItsLast) {
  std::uint64_t num_losses = 0;
  const std::uint64_t seeds = kSanitized ? 2 : 12;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    for (const Loss loss : {Loss::kDead, Loss::kStopped, Loss::kAborts}) {
      for (int victim = 0; victim < 2; ++victim) {
        bool lost = true;
        for (std::uint64_t turns = 0; lost && !HasFailure(); ++turns) {
          const sim::SimReport report = run_loss(seed, loss, victim, turns);
          EXPECT_TRUE(report.ok) << report.problem;
          lost = report.lost;
          num_losses += lost ? 1 : 0;
        }
      }
    }
  }
  RecordProperty("losses", static_cast<int>(num_losses));
  EXPECT_GT(num_losses, 1000U);
}

TEST(FaultsControl, TheJudgeNoticesAFaultThatNamesAnotherRank) {
  const auto control = sim::FaultPlan::Control::kNamesAnotherRank;
  EXPECT_FALSE(run_loss(3, Loss::kDead, 0, 20, control).ok);
  EXPECT_FALSE(run_loss(3, Loss::kAborts, 0, 20, control).ok);
}

TEST(FaultsControl, TheJudgeNoticesAFaultThatNamesAnotherStepOrOperation) {
  for (const auto control : {sim::FaultPlan::Control::kNamesAnotherStep,
                             sim::FaultPlan::Control::kNamesAnotherOperation}) {
    EXPECT_FALSE(run_loss(3, Loss::kDead, 0, 20, control).ok);
    EXPECT_FALSE(run_loss(3, Loss::kStopped, 0, 20, control).ok);
    EXPECT_FALSE(run_loss(3, Loss::kAborts, 0, 20, control).ok);
  }
}

TEST(FaultsControl, TheJudgeNoticesWithin100SeedsWhenRanksTellOfDifferentFaults) {
  int num_noticed = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const sim::SimOptions options{.limits = {.min_ranks = 4},
                                  .faults = {.dead = 1},
                                  .control = sim::FaultPlan::Control::kNobodyDecides};
    num_noticed += sim::simulate(options, seed).ok ? 0 : 1;
  }
  EXPECT_GT(num_noticed, 0);
}

TEST(FaultsControl, TheJudgeNoticesAGroupThatIsNeverTold) {
  const sim::ExchangePlan plan = sim::make_plan(3, {.min_ranks = 2, .max_ranks = 2});
  sim::FaultPlan faults;
  faults.victim = 0;  // lost, though the plan has no fault that the watch would know of
  faults.loss_at = 5;
  sim::ExchangeRun run(plan, sim::world_options(plan, 3), faults);
  EXPECT_THROW(run.run(), sim::ModelViolation);
}

TEST(Faults, RunTheSameWayTwice) {
  const sim::SimOptions options{.faults = sim::FaultOptions::parse("all")};
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    EXPECT_EQ(sim::simulate(options, seed).num_steps, sim::simulate(options, seed).num_steps);
  }
}

TEST(Faults, PrintTheLineThatRunsThemAgain) {
  const sim::SimOptions options{.limits = {.min_ranks = 3, .max_ranks = 3, .max_tokens = 4},
                                .faults = sim::FaultOptions::parse("dead:0.5,wrap")};
  EXPECT_EQ(options.command_line(17),
            "switchyard sim --seed 17 --runs 1 --ranks 3 --tokens 4 --faults dead:0.5,wrap:1");
}

TEST(Faults, RefuseNamesAndProbabilitiesThatAreUnknown) {
  EXPECT_THROW(sim::FaultOptions::parse("thunder"), InvalidArgument);
  EXPECT_THROW(sim::FaultOptions::parse("dead:2"), InvalidArgument);
  EXPECT_THROW(sim::FaultOptions::parse("dead:"), InvalidArgument);
}

}  // namespace
}  // namespace switchyard::test
