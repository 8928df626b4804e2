// Runs of the simulator over many seeds, and the search for one that goes wrong in a broken world.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>

#include "benchmarks/sim/exchange_run.h"
#include "benchmarks/sim/simulate.h"
#include "tests/support/seeds.h"

namespace switchyard::test {

/// Runs the seeds, each of which must pass; returns in how many the group failed, as it had to.
inline std::uint64_t expect_seeds_pass(std::uint64_t count, const sim::SimOptions& options) {
  std::uint64_t num_faulted = 0;
  for_each_seed(count, [&](std::uint64_t seed) {
    const sim::SimReport report = sim::simulate(options, seed);
    EXPECT_TRUE(report.ok) << report.problem;
    num_faulted += report.faulted ? 1 : 0;
  });
  return num_faulted;
}

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

}  // namespace switchyard::test
