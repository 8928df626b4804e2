// `switchyard sim`: seeded runs of whole groups in the simulator, and one run again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "benchmarks/sim/explore.h"
#include "benchmarks/sim/simulate.h"
#include "benchmarks/sim/track_run.h"

namespace CLI {
class App;
}

namespace switchyard::bench {

/// As it was typed.
struct SimArguments {
  std::uint64_t seed = 1;
  std::uint64_t runs = 1000;
  std::string ranks = "2-4";
  std::string in_flight = "1-2";
  std::string plan = "mixed";
  std::string faults;
  std::string lose;     ///< empty: as `faults` says
  std::string explore;  ///< a small world; empty: seeded runs
  bool keep_blocked = false;
  int track_slots = 0;  ///< 0: no track
  std::string network;
  std::string trace_path;  ///< a timeline of each run, the last one stays; empty: none
  sim::SimOptions options;
};

/// What `switchyard sim` was asked for, checked before anything runs: seeded runs of groups, seeded
/// runs of a track, or every run of a small world.
struct SimRuns {
  std::uint64_t first_seed = 1;
  std::uint64_t num_runs = 1;
  sim::SimOptions options;
  std::string trace_path;
  std::optional<sim::TrackOptions> track{};
  const sim::NamedWorld* explored = nullptr;
  sim::ExploreOptions explore_options{};
};

/// Adds the subcommand and its options to the command line.
CLI::App& add_sim_command(CLI::App& app, SimArguments& arguments);

/// Errors: InvalidArgument naming option, what was got and what is wanted
SimRuns check_sim_arguments(const SimArguments& arguments);

/// Runs, prints a summary, and the first failure with the line that runs it again. Returns the exit
/// code.
int run_sim(SimRuns runs);

}  // namespace switchyard::bench
