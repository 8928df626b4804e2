// `switchyard bench` from checked options to an exit code: plan, launch, rivals, reports.
#pragma once

#include <string>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/launcher.h"
#include "benchmarks/cli/report.h"

namespace switchyard::bench {

/// Runs the benchmark, prints the table to the output stream and problems to the error stream.
/// Called by: the process's only thread
/// Errors:    none; the exit code tells (bench_options.h)
int run_bench(const BenchOptions& options, const std::string& command);

/// The exit code of a run that came to its end: kExitFailed after any wrong byte.
int exit_code_of(const Report& report);

}  // namespace switchyard::bench
