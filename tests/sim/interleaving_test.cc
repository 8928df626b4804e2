// Whole groups whose roles are stepped by a seeded scheduler over a memory that shows stores late
// and out of order, and that checks every access to a row to be ordered. Every run is judged byte
// by byte. A failure prints the line that runs it again.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "benchmarks/sim/simulate.h"
#include "tests/support/sim_seeds.h"

namespace switchyard::test {
namespace {

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
