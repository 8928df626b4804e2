#include "benchmarks/cli/sim_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <string_view>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/sim_trace.h"
#include "benchmarks/common/check_range.h"
#include "switchyard/config.h"
#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

constexpr int kMaxRanks = 64;
constexpr int kMaxInFlight = 16;
constexpr int kMaxTokens = 1 << 16;
constexpr int kMaxOperations = 1000;
constexpr int kMaxSlots = 256;

int read_number(std::string_view text, std::string_view all, const char* name, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > most) {
    throw InvalidArgument(
        fmt::format("{}: got \"{}\", wanted N or LOW-HIGH, 1 to {}", name, all, most));
  }
  return value;
}

/// "3" or "2-4".
void read_range(const std::string& text, const char* name, int most, int& low, int& high) {
  const std::size_t dash = text.find('-');
  low = read_number(std::string_view(text).substr(0, dash), text, name, most);
  high = dash == std::string::npos
             ? low
             : read_number(std::string_view(text).substr(dash + 1), text, name, most);
  if (low > high) {
    throw InvalidArgument(fmt::format("{}: got \"{}\", wanted LOW-HIGH", name, text));
  }
}

sim::PlanKind read_plan(const std::string& name) {
  if (name == "mixed") {
    return sim::PlanKind::kMixed;
  }
  if (name == "withdrawals") {
    return sim::PlanKind::kWithdrawals;
  }
  throw InvalidArgument(fmt::format("plan: got \"{}\", wanted mixed or withdrawals", name));
}

/// What stands in place of seeded runs of groups.
void check_other_worlds(const SimArguments& arguments, SimRuns& runs) {
  check_range("track", arguments.track_slots, 0, kMaxSlots);
  if (arguments.track_slots == 0 && !arguments.network.empty()) {
    throw InvalidArgument("network: wanted together with --track");
  }
  if (arguments.explore.empty() && arguments.keep_blocked) {
    throw InvalidArgument("keep-blocked: wanted together with --explore");
  }
  if (arguments.track_slots != 0 && !arguments.explore.empty()) {
    throw InvalidArgument("explore: got --track as well, wanted one of them");
  }
  if (arguments.track_slots != 0) {
    runs.track = {.num_slots = arguments.track_slots,
                  .network = sim::TrackOptions::parse_network(arguments.network)};
  }
  if (!arguments.explore.empty()) {
    runs.explored = &sim::small_world(arguments.explore);
    runs.explore_options = {.keep_blocked = arguments.keep_blocked,
                            .weaken = arguments.options.weaken};
  }
}

int run_exploration(const sim::NamedWorld& world, const sim::ExploreOptions& options) {
  sim::Explorer explorer(sim::small_plan(world.world), options);
  const sim::Exploration found = explorer.explore();
  if (!found.complete) {
    fmt::print("{}\nreplay: {}\n",
               found.problem.empty() ? "not every run was reached" : found.problem,
               world.command_line(options));
    return kExitFailed;
  }
  fmt::print("{}: {} states, {} steps, {} ends; nothing is wrong\n",
             world.name,
             found.num_states,
             found.num_steps,
             found.num_ends);
  return kExitOk;
}

int run_tracks(const SimRuns& runs, const sim::TrackOptions& options) {
  std::uint64_t num_stopped = 0;
  for (std::uint64_t i = 0; i < runs.num_runs; ++i) {
    const std::uint64_t seed = runs.first_seed + i;
    const sim::TrackReport report = sim::run_track(options, seed);
    if (report.end == sim::TrackEnd::kWrong) {
      fmt::print("seed {} failed after {} turns: {}", seed, report.num_steps, report.problem);
      return kExitFailed;
    }
    num_stopped += report.end == sim::TrackEnd::kStopped ? 1 : 0;
  }
  fmt::print("{} runs passed; {} stopped where a message was lost\n", runs.num_runs, num_stopped);
  return kExitOk;
}

}  // namespace

CLI::App& add_sim_command(CLI::App& app, SimArguments& arguments) {
  CLI::App& sim = *app.add_subcommand(
      "sim",
      "Run the protocol in a simulator: hostile moments, late stores, faults; every byte checked.");
  sim.get_formatter()->column_width(34);
  sim::SimOptions& options = arguments.options;
  sim.add_option("--seed", arguments.seed, "Of the first run (1).")->type_name("N");
  sim.add_option("--runs", arguments.runs, "How many, each with the next seed (1000).")
      ->type_name("N");
  sim.add_option("--ranks", arguments.ranks, "Of each node; drawn for each run (2-4).")
      ->type_name("N[-N]");
  sim.add_option("--nodes", options.limits.num_nodes, "Joined by a modelled network (1).")
      ->type_name("N");
  sim.add_option("--tokens", options.limits.max_tokens, "Most tokens of a rank and dispatch (7).")
      ->type_name("N");
  sim.add_option("--channels", options.limits.max_channels, "Most channels (3).")->type_name("N");
  sim.add_option(
         "--in-flight", arguments.in_flight, "Operations in flight, down to one slot (1-2).")
      ->type_name("N[-N]");
  sim.add_option("--operations", options.limits.max_operations, "Most operations of a run (9).")
      ->type_name("N");
  sim.add_flag("--refusals", options.limits.refusals, "Callers give too little memory at times.");
  sim.add_option(
         "--plan", arguments.plan, "mixed, or withdrawals (padded places given and taken back).")
      ->type_name("NAME");
  sim.add_option("--faults",
                 arguments.faults,
                 "NAME[:PROBABILITY], by commas, of: delay, reorder, slow, dead, stopped,\n"
                 "aborts, flip, tight, wrap; between nodes: lost, twice; or all.")
      ->type_name("LIST");
  sim.add_option("--lose",
                 arguments.lose,
                 "Lose this rank at this turn of it: dead:RANK:TURN, stopped:RANK:TURN or\n"
                 "aborts:RANK:TURN.")
      ->type_name("LOSS");
  sim.add_option("--weaken",
                 options.weaken,
                 "An acquire or release of the protocol that is to order nothing, by file\n"
                 "and line, such as FILE.h:LINE: the runs must fail.")
      ->type_name("FILE:LINE");
  sim.add_option("--explore",
                 arguments.explore,
                 "Instead of seeded runs: every run of a small world, by its name; a wrong\n"
                 "name lists them.")
      ->type_name("WORLD");
  sim.add_flag("--keep-blocked",
               arguments.keep_blocked,
               "With --explore: go on after steps that did nothing, too.");
  sim.add_option("--track",
                 arguments.track_slots,
                 "Instead of a group: a track of so many slots over a network.")
      ->type_name("SLOTS");
  sim.add_option("--network",
                 arguments.network,
                 "With --track: NAME[:PROBABILITY], by commas, of: lose, duplicate,\n"
                 "signals-pass-puts, takes-duplicates.")
      ->type_name("LIST");
  sim.add_option("--trace", arguments.trace_path, "Timeline of the last run, for Perfetto.")
      ->type_name("FILE");
  return sim;
}

SimRuns check_sim_arguments(const SimArguments& arguments) {
  SimRuns runs{.first_seed = arguments.seed,
               .num_runs = arguments.runs,
               .options = arguments.options,
               .trace_path = arguments.trace_path};
  sim::PlanLimits& limits = runs.options.limits;
  if (runs.num_runs == 0) {
    throw InvalidArgument("runs: got 0, wanted 1 or more");
  }
  read_range(arguments.ranks, "ranks", kMaxRanks, limits.min_ranks, limits.max_ranks);
  read_range(
      arguments.in_flight, "in-flight", kMaxInFlight, limits.min_in_flight, limits.max_in_flight);
  check_range("nodes", limits.num_nodes, 1, kMaxRanks);
  check_range("ranks of all nodes", limits.max_ranks * limits.num_nodes, 1, kMaxRanks);
  check_range("tokens", limits.max_tokens, 0, kMaxTokens);
  check_range("channels", limits.max_channels, 1, kMaxChannels);
  check_range("operations", limits.max_operations, 1, kMaxOperations);
  runs.options.kind = read_plan(arguments.plan);
  runs.options.faults = sim::FaultOptions::parse(arguments.faults);
  if (!arguments.lose.empty()) {
    runs.options.lose = sim::ChosenLoss::parse(arguments.lose);
  }
  check_other_worlds(arguments, runs);
  return runs;
}

int run_sim(SimRuns runs) {
  if (runs.explored != nullptr) {
    return run_exploration(*runs.explored, runs.explore_options);
  }
  if (runs.track) {
    return run_tracks(runs, *runs.track);
  }
  if (!runs.trace_path.empty()) {
    runs.options.at_end = [&](const sim::WeakMemory& memory) {
      write_sim_trace(memory, runs.trace_path);
    };
  }
  std::uint64_t num_steps = 0;
  std::uint64_t num_faulted = 0;
  sim::SiteLog sites;
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < runs.num_runs; ++i) {
    const std::uint64_t seed = runs.first_seed + i;
    const sim::SimReport report = sim::simulate(runs.options, seed, &sites);
    if (!report.ok) {
      fmt::print("seed {} failed after {} turns: {}", seed, report.num_steps, report.problem);
      return kExitFailed;
    }
    if (runs.num_runs == 1) {
      fmt::print("{}", report.plan);
    }
    num_steps += report.num_steps;
    num_faulted += report.faulted ? 1 : 0;
  }
  const std::string& weakened = runs.options.weaken;
  if (!weakened.empty() && !sites.uses().contains(weakened)) {
    fmt::print(
        stderr,
        "switchyard sim: weaken: got \"{}\", wanted file and line of an acquire or a release in "
        "csrc/protocol that these runs come to\n",
        weakened);
    return kExitBadArguments;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print(
      "{} runs passed in {:.1f} s, {:.0f} turns a run; in {} the group failed as it had to\n",
      runs.num_runs,
      seconds,
      static_cast<double>(num_steps) / static_cast<double>(runs.num_runs),
      num_faulted);
  return kExitOk;
}

}  // namespace switchyard::bench
