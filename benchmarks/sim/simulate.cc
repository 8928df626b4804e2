#include "benchmarks/sim/simulate.h"

#include <fmt/format.h>

#include <exception>
#include <optional>

namespace switchyard::sim {
namespace {

constexpr std::size_t kTraceLines = 40;

std::string range(int low, int high) {
  return low == high ? fmt::format("{}", low) : fmt::format("{}-{}", low, high);
}

ExchangePlan plan_of(const SimOptions& options, std::uint64_t seed) {
  return options.kind == PlanKind::kMixed ? make_plan(seed, options.limits)
                                          : make_withdrawal_plan(seed, options.limits);
}

FaultPlan faults_of(const SimOptions& options, const ExchangePlan& plan, std::uint64_t seed) {
  FaultPlan faults = draw_faults(options.faults, plan, seed);
  if (options.lose) {
    faults.loss = options.lose->loss;
    faults.victim = options.lose->victim % plan.num_ranks;
    faults.loss_at = options.lose->at;
  }
  faults.control = options.control;
  return faults;
}

/// Runs to the end; what went wrong, if anything did.
std::optional<std::string> run_to_end(ExchangeRun& run, const SimOptions& options) {
  std::optional<std::string> problem;
  try {
    run.run();
  } catch (const std::exception& error) {
    problem = error.what();
  }
  if (options.at_end) {
    options.at_end(run.memory());
  }
  return problem;
}

/// The group of those that are left: a new world, in which everything must work. Nodes have as many
/// ranks each, so that a node that lost one leaves the group.
std::optional<std::string> run_survivors(const SimOptions& options,
                                         const ExchangePlan& before,
                                         bool lost_a_rank,
                                         std::uint64_t seed) {
  PlanLimits limits = options.limits;
  const bool lost_a_node = lost_a_rank && before.num_nodes > 1;
  limits.num_nodes = before.num_nodes - (lost_a_node ? 1 : 0);
  const int ranks_per_node = before.num_ranks / before.num_nodes;
  limits.min_ranks = ranks_per_node - (lost_a_rank && !lost_a_node ? 1 : 0);
  limits.max_ranks = limits.min_ranks;
  limits.max_operations = 2;
  limits.refusals = false;
  const ExchangePlan plan = make_plan(seed, limits);
  WorldOptions world = world_options(plan, seed);
  world.memory.weakened_site = options.weaken;
  ExchangeRun run(plan, world);
  try {
    run.run();
    return std::nullopt;
  } catch (const std::exception& error) {
    return fmt::format("the survivors: {}\n{}", error.what(), run.trace_text(kTraceLines));
  }
}

}  // namespace

std::string SimOptions::command_line(std::uint64_t seed) const {
  const PlanLimits defaults;
  std::string line = fmt::format("switchyard sim --seed {} --runs 1", seed);
  line += fmt::format(" --ranks {}", range(limits.min_ranks, limits.max_ranks));
  line += limits.num_nodes == 1 ? "" : fmt::format(" --nodes {}", limits.num_nodes);
  line += kind == PlanKind::kWithdrawals ? " --plan withdrawals" : "";
  const auto add = [&](const char* name, const std::string& value, bool is_default) {
    line += is_default ? "" : fmt::format(" {} {}", name, value);
  };
  add("--tokens", fmt::format("{}", limits.max_tokens), limits.max_tokens == defaults.max_tokens);
  add("--channels",
      fmt::format("{}", limits.max_channels),
      limits.max_channels == defaults.max_channels);
  add("--in-flight",
      range(limits.min_in_flight, limits.max_in_flight),
      limits.min_in_flight == defaults.min_in_flight &&
          limits.max_in_flight == defaults.max_in_flight);
  add("--operations",
      fmt::format("{}", limits.max_operations),
      limits.max_operations == defaults.max_operations);
  line += limits.refusals ? " --refusals" : "";
  const std::string fault_text = faults.describe();
  add("--faults", fault_text, fault_text.empty());
  add("--lose", lose ? lose->describe() : "", !lose);
  add("--weaken", weaken, weaken.empty());
  return line;
}

SimReport simulate(const SimOptions& options, std::uint64_t seed, SiteLog* sites) {
  const ExchangePlan plan = plan_of(options, seed);
  const FaultPlan faults = faults_of(options, plan, seed);
  WorldOptions world = world_options(plan, seed);
  world.memory.weakened_site = options.weaken;
  world.memory.sites = sites;
  SimReport report;
  ExchangeRun run(plan, world, faults);
  std::optional<std::string> problem = run_to_end(run, options);
  if (problem) {
    problem = *problem + "\nlast operations:\n" + run.trace_text(kTraceLines);
  }
  report.num_steps = run.num_steps();
  for (int rank = 0; rank < plan.num_ranks; ++rank) {
    const RankEnd end = run.end_of(rank);
    report.faulted = report.faulted || end == RankEnd::kFaulted || end == RankEnd::kGaveUp;
  }
  report.lost = faults.victim >= 0 && run.end_of(faults.victim) == RankEnd::kLost;
  const int num_survivors = plan.num_ranks - (faults.victim >= 0 ? 1 : 0);
  if (!problem && num_survivors > 0 && (faults.victim >= 0 || report.faulted)) {
    problem = run_survivors(options, plan, faults.victim >= 0, seed);
  }
  report.ok = !problem;
  report.plan = plan.describe() + faults.describe();
  if (problem) {
    report.problem =
        fmt::format("{}\n{}replay: {}\n", *problem, report.plan, options.command_line(seed));
  }
  return report;
}

}  // namespace switchyard::sim
