// `switchyard bench --study`: the studies that were asked for, each into a file of its own.
#pragma once

#include <string>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cuda/cuda_machine.h"

namespace switchyard::bench {

/// Returns the exit code: kExitFailed after a wrong byte, or when a case could not be measured; the
/// others are measured all the same.
/// Called by: the process's only thread
/// Errors:    SystemError when a file cannot be written
int run_studies(const BenchOptions& options, const std::string& command, const GpuProbe& probe);

}  // namespace switchyard::bench
