// The sets of options under which mutants of the protocol are hunted, and the hunt.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "benchmarks/sim/simulate.h"

namespace switchyard::test {

/// Seeds of each campaign that a mutant may survive, at most.
inline constexpr std::uint64_t kHuntSeeds = 100;

struct Campaign {
  const char* name;
  sim::SimOptions options;
};

inline const std::array<Campaign, 15>& campaigns() {
  static const std::array<Campaign, 15> all{{
      {"mixed", {}},
      {"refusals", {.limits = {.refusals = true}}},
      {"withdrawals", {.kind = sim::PlanKind::kWithdrawals}},
      {"four in flight",
       {.limits = {.min_in_flight = 3, .max_in_flight = 4, .max_operations = 14}}},
      {"many tokens", {.limits = {.max_operations = 3, .max_tokens = 40}}},
      {"tags wrap", {.limits = {.refusals = true}, .faults = {.wrap = 1}}},
      {"tight heaps", {.faults = {.tight = 1}}},
      {"a bit flips", {.faults = {.flip = 1}}},
      {"a rank dies", {.faults = {.dead = 1}}},
      {"two nodes", {.limits = {.min_ranks = 1, .max_ranks = 2, .num_nodes = 2}}},
      {"three nodes",
       {.limits = {.min_ranks = 1, .max_ranks = 1, .num_nodes = 3, .max_operations = 5}}},
      {"two nodes, many tokens",
       {.limits = {.min_ranks = 1,
                   .max_ranks = 2,
                   .num_nodes = 2,
                   .max_operations = 3,
                   .max_tokens = 30}}},
      {"two nodes, refusals",
       {.limits = {.min_ranks = 1, .max_ranks = 2, .num_nodes = 2, .refusals = true}}},
      {"two nodes, a bit flips",
       {.limits = {.min_ranks = 1, .max_ranks = 2, .num_nodes = 2}, .faults = {.flip = 1}}},
      {"two lone ranks, a bit flips",
       {.limits = {.min_ranks = 1, .max_ranks = 1, .num_nodes = 2, .max_operations = 14},
        .faults = {.flip = 1}}},
  }};
  return all;
}

struct Kill {
  std::string killer;      ///< campaign and seed; empty: survived
  std::uint64_t runs = 0;  ///< until then
  std::string how{};       ///< first line of what went wrong
};

/// One seed of every campaign after the other, until a run goes wrong. `weaken`: a site that is to
/// order nothing.
inline Kill hunt(const std::string& weaken = {}) {
  Kill kill;
  for (std::uint64_t seed = 1; seed <= kHuntSeeds; ++seed) {
    for (const Campaign& campaign : campaigns()) {
      sim::SimOptions options = campaign.options;
      options.weaken = weaken;
      ++kill.runs;
      const sim::SimReport report = sim::simulate(options, seed);
      if (!report.ok) {
        kill.killer = std::string(campaign.name) + ", seed " + std::to_string(seed);
        kill.how = report.problem.substr(0, report.problem.find('\n'));
        return kill;
      }
    }
  }
  return kill;
}

}  // namespace switchyard::test
