// Whole groups whose roles are stepped by a seeded scheduler over a memory that shows stores late
// and out of order, and that checks every access to a row to be ordered. Every run is judged byte
// by byte. A failure prints the seed: the same test with --seed=N replays it.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

#include "benchmarks/sim/exchange_plan.h"
#include "benchmarks/sim/exchange_run.h"
#include "tests/support/seeds.h"

namespace switchyard::test {
namespace {

constexpr std::size_t kTraceLines = 40;

/// What went wrong in one run, or nothing.
std::optional<std::string> run_plan(const sim::ExchangePlan& plan,
                                    const sim::WorldOptions& options) {
  sim::ExchangeRun run(plan, options);
  try {
    run.run();
    return std::nullopt;
  } catch (const sim::ModelViolation& violation) {
    return std::string(violation.what()) + "\n" + plan.describe() + "last operations:\n" +
           run.trace_text(kTraceLines);
  }
}

void expect_seeds_pass(std::uint64_t count, const sim::PlanLimits& limits) {
  for_each_seed(count, [&](std::uint64_t seed) {
    const sim::ExchangePlan plan = sim::make_plan(seed, limits);
    const auto failure = run_plan(plan, sim::world_options(plan, seed));
    EXPECT_FALSE(failure) << "--seed=" << seed << ": " << *failure;
  });
}

// About 2 ms a seed.
TEST(Interleaving, EveryRowLandsOnceAndEverySumIsExactWhenTwoToFourRanksExchange) {
  expect_seeds_pass(8000, {});
}

TEST(Interleaving, EveryRowLandsOnceAndEverySumIsExactWhenOneRankIsAlone) {
  expect_seeds_pass(300, {.min_ranks = 1, .max_ranks = 1, .refusals = true});
}

TEST(Interleaving, EveryRowLandsOnceAndEverySumIsExactWhenFourAreInFlight) {
  expect_seeds_pass(500, {.min_in_flight = 3, .max_in_flight = 4, .max_operations = 14});
}

TEST(Interleaving, EveryRankFailsAlikeAndGoesOnWhenOneRefuses) {
  expect_seeds_pass(1000, {.refusals = true});
  expect_seeds_pass(500, {.max_in_flight = 1, .refusals = true});
}

TEST(Interleaving, NobodyWritesToPlacesThatWereWithdrawnAndGivenAway) {
  for_each_seed(2000, [&](std::uint64_t seed) {
    const sim::ExchangePlan plan = sim::make_withdrawal_plan(seed);
    const auto failure = run_plan(plan, sim::world_options(plan, seed));
    EXPECT_FALSE(failure) << "--seed=" << seed << ": " << *failure;
  });
}

TEST(Interleaving, GoesOnWhenTagsWrap) {
  for_each_seed(300, [&](std::uint64_t seed) {
    const sim::ExchangePlan plan = sim::make_plan(seed, {.max_in_flight = 3, .refusals = true});
    sim::WorldOptions options = sim::world_options(plan, seed);
    const std::uint64_t slots = 2 * static_cast<std::uint64_t>(plan.max_in_flight);
    const std::uint64_t num_tags = (std::uint64_t{1} << 32U) / slots * slots - slots;
    options.first_epoch = num_tags - seed % 8;
    const auto failure = run_plan(plan, options);
    EXPECT_FALSE(failure) << "--seed=" << seed << ": " << *failure;
  });
}

// Negative controls: what the runs above must not miss, in a world that is broken in one place.

/// The first seed of which the run goes wrong in the world that `breaks` made, up to `count`.
template <class Breaks>
std::optional<std::uint64_t> first_failing_seed(std::uint64_t count,
                                                const sim::PlanLimits& limits,
                                                const Breaks& breaks) {
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    const sim::ExchangePlan plan = sim::make_plan(seed, limits);
    sim::WorldOptions options = sim::world_options(plan, seed);
    breaks(options);
    if (run_plan(plan, options)) {
      return seed;
    }
  }
  return std::nullopt;
}

TEST(InterleavingControl, IsNoticedWithin50SeedsWhenRowsBecomeVisibleAfterTheirRelease) {
  EXPECT_TRUE(first_failing_seed(
      50, {}, [](sim::WorldOptions& options) { options.memory.rows_pass_releases = true; }));
}

TEST(InterleavingControl, IsNoticedWithin10SeedsWhenAcquiresOrderNothing) {
  EXPECT_TRUE(first_failing_seed(
      10, {}, [](sim::WorldOptions& options) { options.memory.acquires_teach_nothing = true; }));
}

TEST(InterleavingControl, IsNoticedWithin10SeedsWhenTwoInFlightShareOneSlot) {
  EXPECT_TRUE(first_failing_seed(
      10, {.min_in_flight = 2}, [](sim::WorldOptions& options) { options.num_slots = 1; }));
}

TEST(InterleavingControl, IsNoticedWithin50SeedsWhenOneSlotIsMissing) {
  // The argument for twice the operations in flight is exact: one less is too few.
  EXPECT_TRUE(first_failing_seed(
      50, {.min_in_flight = 2}, [](sim::WorldOptions& options) { options.num_slots = 3; }));
  EXPECT_TRUE(first_failing_seed(
      50, {.max_in_flight = 1}, [](sim::WorldOptions& options) { options.num_slots = 1; }));
}

}  // namespace
}  // namespace switchyard::test
