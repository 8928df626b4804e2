// Whole groups whose roles are stepped by a seeded scheduler over a memory that shows stores late
// and out of order, and that checks every access to a row to be ordered. Every run is judged byte
// by byte. A failure prints the line that runs it again.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

#include "benchmarks/sim/simulate.h"
#include "tests/support/seeds.h"

namespace switchyard::test {
namespace {

void expect_seeds_pass(std::uint64_t count, const sim::SimOptions& options) {
  for_each_seed(count, [&](std::uint64_t seed) {
    const sim::SimReport report = sim::simulate(options, seed);
    EXPECT_TRUE(report.ok) << report.problem;
  });
}

// About 2 ms a seed.
TEST(Interleaving, EveryRowLandsOnceAndEverySumIsExactWhenTwoToFourRanksExchange) {
  expect_seeds_pass(8000, {});
}

TEST(Interleaving, EveryRowLandsOnceAndEverySumIsExactWhenOneRankIsAlone) {
  expect_seeds_pass(300, {.limits = {.min_ranks = 1, .max_ranks = 1, .refusals = true}});
}

TEST(Interleaving, EveryRowLandsOnceAndEverySumIsExactWhenFourAreInFlight) {
  expect_seeds_pass(500,
                    {.limits = {.min_in_flight = 3, .max_in_flight = 4, .max_operations = 14}});
}

TEST(Interleaving, EveryRowLandsOnceAndEverySumIsExactWhenEightRanksExchange) {
  expect_seeds_pass(200, {.limits = {.min_ranks = 8, .max_ranks = 8, .max_operations = 4}});
}

TEST(Interleaving, EveryRowLandsOnceAndEverySumIsExactWhenTokensFillSeveralRuns) {
  expect_seeds_pass(200, {.limits = {.max_operations = 3, .max_tokens = 40}});
}

TEST(Interleaving, EveryRankFailsAlikeAndGoesOnWhenOneRefuses) {
  expect_seeds_pass(1000, {.limits = {.refusals = true}});
  expect_seeds_pass(500, {.limits = {.max_in_flight = 1, .refusals = true}});
}

TEST(Interleaving, NobodyWritesToPlacesThatWereWithdrawnAndGivenAway) {
  expect_seeds_pass(2000, {.kind = sim::PlanKind::kWithdrawals});
}

TEST(Interleaving, GoesOnWhenTagsWrap) {
  expect_seeds_pass(500, {.limits = {.max_in_flight = 3, .refusals = true}, .faults = {.wrap = 1}});
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
    sim::ExchangeRun run(plan, options);
    try {
      run.run();
    } catch (const sim::ModelViolation&) {
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

/// Flips a bit of every row that becomes visible.
class RowDamage final : public sim::StoreFaults {
 public:
  bool on_visible(int /*writer*/,
                  std::byte* to,
                  std::size_t /*bytes*/,
                  sim::StoredAs stored_as) override {
    if (stored_as == sim::StoredAs::kRow) {
      *to ^= std::byte{1};
    }
    return stored_as == sim::StoredAs::kRow;
  }
};

TEST(InterleavingControl, IsNoticedWithin3SeedsWhenABitOfEachRowIsWrong) {
  RowDamage damage;
  EXPECT_TRUE(first_failing_seed(
      3, {}, [&](sim::WorldOptions& options) { options.memory.faults = &damage; }));
}

}  // namespace
}  // namespace switchyard::test
