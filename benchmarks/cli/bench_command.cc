#include "benchmarks/cli/bench_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "benchmarks/cli/build_info.h"
#include "benchmarks/cli/case_plan.h"
#include "benchmarks/cli/plot.h"
#include "benchmarks/cli/progress.h"
#include "benchmarks/cli/side_by_side.h"
#include "benchmarks/cli/study_command.h"
#include "benchmarks/cli/system_error.h"
#include "benchmarks/cli/trace_output.h"
#include "switchyard/error.h"
#include "switchyard/version.h"

namespace switchyard::bench {
namespace {

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
  if (options.trace_events > 0) {
    report.notices.push_back("every role was traced, which costs a little of the times below");
  }
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

// Adds the dispatch and the combine of each case, with the rivals' medians where they were
// measured.
void add_results(const std::vector<CasePlan>& plans, const SideBySide& measured, Report& report) {
  for (std::size_t i = 0; i < measured.own.samples.size(); ++i) {
    std::vector<OpResult> results = results_of(plans[i], measured.own.samples[i]);
    for (std::size_t j = 0; !measured.rivals.empty() && j < kMpiRivals.size(); ++j) {
      const MpiTimes& times = measured.rivals[i][j];
      results[0].rivals.push_back({kMpiRivals[j].name, quantile(times.dispatch_us, 0.5)});
      results[1].rivals.push_back({kMpiRivals[j].name, quantile(times.combine_us, 0.5)});
    }
    report.results.insert(report.results.end(), results.begin(), results.end());
  }
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
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw_system_error("write the table to the standard output",
                       "the files that were asked for are complete");
  }
}

// Also of a run that failed: then the trace says who waited for whom.
std::string take_traces(const BenchOptions& options,
                        const std::vector<CasePlan>& plans,
                        const TraceUnpacker& traces) {
  const std::vector<TracedCase> cases = traced_cases(plans, traces);
  if (!cases.empty() && !options.trace_path.empty()) {
    write_trace(cases, options.trace_path);
  }
  return stall_text(cases, options.workload.num_ranks);
}

void check_rivals_and_tools(const BenchOptions& options) {
  if (!options.plot_path.empty()) {
    check_gnuplot();
  }
  if (options.versus_mpi) {
    check_mpi();
  }
}

/// Memory that ranks' heaps and tensors come from.
std::uint64_t available_bytes(const BenchOptions& options, const GpuProbe& probe) {
  return options.device.on_device()
             ? probe.memory_bytes * static_cast<std::uint64_t>(probe.num_gpus)
             : available_memory_bytes();
}

/// Looking for GPUs takes a moment, and is not needed for what runs on the host.
GpuProbe look_for_gpus(const BenchOptions& options) {
  return options.device.target == TargetChoice::kHost ? GpuProbe{} : probe_gpus();
}

int measure(const BenchOptions& asked, const std::string& command) {
  const GpuProbe probe = look_for_gpus(asked);
  const BenchOptions options = settle_target(asked, probe);
  if (!options.device.studies.empty()) {
    return run_studies(options, command, probe);
  }
  check_rivals_and_tools(options);
  check_memory(options, available_bytes(options, probe));
  const std::vector<CasePlan> plans = plan_cases(options);
  check_memory(plans, available_bytes(options, probe));
  Report report = make_report(options, command, plans);
  if (options.device.on_device()) {
    report.machine.gpu = probe.name;
    report.machine.gpus = probe.num_gpus;
  }

  ProgressBar progress;
  const auto show = [&](double fraction, const std::string& doing) {
    progress.show(fraction, doing);
  };
  const SideBySide measured = options.versus_mpi ? measure_side_by_side(options, plans, show)
                                                 : SideBySide{.own = launch(options, plans, show)};
  progress.clear();
  const std::string stalls = take_traces(options, plans, measured.own.traces);
  if (measured.own.exit_code != kExitOk) {
    fmt::print(stderr, "{}", stalls);
    return complain(measured.own.exit_code, measured.own.failure);
  }
  if (measured.own.samples.empty()) {
    return kExitOk;  // under a launcher, rank 0 reports
  }
  add_results(plans, measured, report);
  write_outputs(report);
  fmt::print("{}{}", stalls.empty() ? "" : "\n", stalls);
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
