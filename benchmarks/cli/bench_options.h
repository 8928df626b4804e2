// What `switchyard` was asked for, checked before anything runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/cli/device_options.h"
#include "benchmarks/cli/sim_command.h"
#include "benchmarks/cli/surroundings.h"
#include "benchmarks/common/workload.h"
#include "switchyard/config.h"

namespace switchyard::bench {

enum class RanksAs : std::uint8_t {
  kProcesses,
  kThreads,
  kLaunched,  ///< this process is one rank; a launcher started the others and says so in the
              ///< environment
};

// Exit codes of the command.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  ///< a wrong byte, or a run that did not end
inline constexpr int kExitBadArguments = 2;
inline constexpr int kExitInterrupted = 130;

struct BenchOptions {
  Workload workload{};            ///< `layout` and `tokens` stand for the first case
  std::vector<Layout> layouts{};  ///< measured one after the other
  std::vector<int> tokens{};      ///< one, or the ascending points of a sweep
  RanksAs ranks_as = RanksAs::kProcesses;
  std::string launcher{};  ///< kLaunched: its name
  int iterations = 0;      ///< timed ones; 0: as many as fit in a time limit
  int rounds = 1;          ///< runs that share a case's iterations when these are automatic
  int warmup = 3;
  bool bind_cores = true;  ///< each rank that is a process to its own share of the cores
  int num_workers = 0;
  int num_channels = 0;
  std::uint64_t heap_bytes = 0;  ///< of each rank; 0: what the workload needs
  ExpertCopies expert_copies = ExpertCopies::kBySender;
  std::chrono::milliseconds timeout{30'000};
  std::string json_path{};  ///< empty: not wanted
  std::string csv_path{};
  std::string plot_path{};
  std::string trace_path{};
  int trace_events = 0;  ///< kept for each worker; 0: no tracing
  bool versus_mpi = false;
  bool ranks_given = false;  ///< the number of ranks was chosen, not the default
  bool ranks_as_given = false;
  DeviceOptions device{};  ///< as settled by settle_target

  [[nodiscard]] bool is_sweep() const { return tokens.size() > 1; }
};

/// "processes", "threads", or the launcher's name.
std::string_view ranks_as_name(const BenchOptions& options);

/// The options, or the text and the exit code to leave with at once.
struct ParsedCommandLine {
  std::optional<BenchOptions> options{};
  std::optional<SimRuns> sim{};  ///< in place of `options`: `switchyard sim`
  int exit_code = kExitOk;
  std::string message{};  ///< help or version when exit_code is kExitOk, else what is wrong
};

/// Parses and checks the arguments of `switchyard` (without the program's name). Touches no file
/// but to see whether the outputs can be written.
ParsedCommandLine parse_command_line(const std::vector<std::string>& args,
                                     const Surroundings& surroundings);

}  // namespace switchyard::bench
