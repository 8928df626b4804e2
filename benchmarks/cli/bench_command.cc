#include "benchmarks/cli/bench_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "benchmarks/cli/build_info.h"
#include "benchmarks/cli/case_plan.h"
#include "benchmarks/cli/plot.h"
#include "benchmarks/cli/progress.h"
#include "benchmarks/cli/versus_mpi.h"
#include "switchyard/error.h"
#include "switchyard/version.h"

namespace switchyard::bench {
namespace {

/// Part of the progress bar that belongs to the rival, when there is one.
constexpr double kRivalShare = 0.5;

int complain(int exit_code, const std::string& problem) {
  std::fflush(stdout);
  fmt::print(stderr, "switchyard bench: {}\n", problem);
  return exit_code;
}

Report make_report(const BenchOptions& options,
                   const std::string& command,
                   const std::vector<CasePlan>& plans) {
  Report report{.version = version(),
                .commit = commit(),
                .machine = describe_machine(),
                .command = command,
                .options = options};
  for (const CasePlan& plan : plans) {
    report.ranks_per_token.push_back(plan.ranks_per_token);
    for (const RankRouting& routing : *plan.routing) {
      if (!routing.notice.empty() &&
          std::find(report.notices.begin(), report.notices.end(), routing.notice) ==
              report.notices.end()) {
        report.notices.push_back(routing.notice);
      }
    }
  }
  return report;
}

// Adds the rival's times to the results of each case. False when the user ended the run.
bool add_rival(const std::vector<CasePlan>& plans, ProgressBar& progress, Report& report) {
  for (std::size_t i = 0; i < plans.size(); ++i) {
    progress.show(1.0 - kRivalShare +
                      kRivalShare * static_cast<double>(i) / static_cast<double>(plans.size()),
                  fmt::format("MPI, {} tokens", plans[i].workload.tokens));
    OpResult& dispatch = report.results[2 * i];
    OpResult& combine = report.results[2 * i + 1];
    MpiTimes times;
    if (!run_mpi(report.options, plans[i].workload, dispatch.num_iterations, times)) {
      return false;
    }
    dispatch.mpi_median_us = quantile(times.dispatch_us, 0.5);
    combine.mpi_median_us = quantile(times.combine_us, 0.5);
  }
  return true;
}

void write_outputs(const Report& report) {
  fmt::print("{}", to_table(report));
  const BenchOptions& options = report.options;
  if (!options.json_path.empty()) {
    write_file(options.json_path, to_json(report).dump(2) + "\n");
  }
  if (!options.csv_path.empty()) {
    write_file(options.csv_path, to_csv(report));
  }
  if (!options.plot_path.empty()) {
    write_plot(report, options.plot_path);
  }
}

void check_rivals_and_tools(const BenchOptions& options) {
  if (!options.plot_path.empty()) {
    check_gnuplot();
  }
  if (options.versus_mpi) {
    check_mpi();
  }
}

int measure(const BenchOptions& options, const std::string& command) {
  check_rivals_and_tools(options);
  check_memory(options, available_memory_bytes());
  const std::vector<CasePlan> plans = plan_cases(options);
  check_memory(plans, available_memory_bytes());
  Report report = make_report(options, command, plans);

  ProgressBar progress;
  const double own_share = options.versus_mpi ? 1.0 - kRivalShare : 1.0;
  const LaunchResult launched =
      launch(options, plans, [&](double fraction, const std::string& doing) {
        progress.show(fraction * own_share, doing);
      });
  if (launched.exit_code != kExitOk) {
    progress.clear();
    return complain(launched.exit_code, launched.failure);
  }
  for (std::size_t i = 0; i < launched.samples.size(); ++i) {
    const std::vector<OpResult> results = results_of(plans[i], launched.samples[i]);
    report.results.insert(report.results.end(), results.begin(), results.end());
  }
  if (report.results.empty()) {
    return kExitOk;  // under torchrun, rank 0 reports
  }
  if (options.versus_mpi && !add_rival(plans, progress, report)) {
    progress.clear();
    return complain(kExitInterrupted, "interrupted; every process has been ended");
  }
  progress.clear();
  write_outputs(report);
  return report.verified()
             ? exit_code_of(report)
             : complain(exit_code_of(report), "wrong data, see the table; please report this");
}

}  // namespace

int exit_code_of(const Report& report) {
  return report.verified() ? kExitOk : kExitFailed;
}

int run_bench(const BenchOptions& options, const std::string& command) {
  try {
    return measure(options, command);
  } catch (const InvalidArgument& error) {
    return complain(kExitBadArguments, error.what());
  } catch (const std::exception& error) {
    return complain(kExitFailed, error.what());
  }
}

}  // namespace switchyard::bench
