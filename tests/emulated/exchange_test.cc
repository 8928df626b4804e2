// Whole groups whose dispatches and combines run as kernels: every lane of every warp of every SM
// of every rank, in thousands of orders that a seed draws. Every result is judged byte by byte, at
// the moment at which its rank may look at it.
#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>

#include "benchmarks/sim/exchange_plan.h"
#include "benchmarks/sim/exchange_run.h"
#include "tests/emulated/support/emulated_rank.h"
#include "tests/support/seeds.h"

namespace switchyard::sim {
namespace {

WorldOptions options_of(const ExchangePlan& plan, std::uint64_t seed) {
  WorldOptions options = world_options(plan, seed);
  options.heap_bytes = std::uint64_t{24} << 20U;
  options.max_experts = 256;
  return options;
}

/// What went wrong in one run, or nothing.
std::optional<std::string> run_plan(const ExchangePlan& plan,
                                    const WorldOptions& options,
                                    std::uint64_t seed) {
  try {
    EmulatedGroup(plan, seed, options).run();
    return std::nullopt;
  } catch (const std::exception& error) {
    return std::string(error.what()) + "\n" + plan.describe();
  }
}

void expect_seeds_pass(std::uint64_t count, const PlanLimits& limits) {
  test::for_each_seed(count, [&](std::uint64_t seed) {
    const ExchangePlan plan = make_plan(seed, limits);
    const auto failure = run_plan(plan, options_of(plan, seed), seed);
    EXPECT_FALSE(failure) << "--seed=" << seed << ": " << *failure;
  });
}

// Some 0.1 s a seed.
TEST(EmulatedExchange, EveryRowLandsOnceAndEverySumIsExact) {
  expect_seeds_pass(30, {.max_in_flight = 1});
}

TEST(EmulatedExchange, EveryRowLandsOnceAndEverySumIsExactWhenOneRankIsAlone) {
  expect_seeds_pass(20, {.min_ranks = 1, .max_ranks = 1, .max_in_flight = 1, .refusals = true});
}

TEST(EmulatedExchange, EveryRowLandsOnceAndEverySumIsExactWhenRowsAreLargerThanStages) {
  expect_seeds_pass(10, {.max_in_flight = 1, .max_operations = 5, .wide_rows = true});
}

TEST(EmulatedExchange, EveryRowLandsOnceAndEverySumIsExactWhenTokensHaveManyExperts) {
  expect_seeds_pass(10,
                    {.max_channels = 16,
                     .max_in_flight = 1,
                     .max_operations = 4,
                     .max_tokens = 24,
                     .max_topk = 32,
                     .max_experts_per_rank = 24});
}

TEST(EmulatedExchange, EveryRankFailsAlikeAndGoesOnWhenOneRefuses) {
  expect_seeds_pass(20, {.max_in_flight = 1, .refusals = true});
}

TEST(EmulatedExchange, GoesOnWhenTagsWrap) {
  test::for_each_seed(10, [&](std::uint64_t seed) {
    const ExchangePlan plan = make_plan(seed, {.max_in_flight = 1, .refusals = true});
    WorldOptions options = options_of(plan, seed);
    const std::uint64_t slots = 2 * static_cast<std::uint64_t>(plan.max_in_flight);
    const std::uint64_t num_tags = (std::uint64_t{1} << 32U) / slots * slots - slots;
    options.first_epoch = num_tags - seed % 8;
    const auto failure = run_plan(plan, options, seed);
    EXPECT_FALSE(failure) << "--seed=" << seed << ": " << *failure;
  });
}

}  // namespace
}  // namespace switchyard::sim
