// The rival: the same workload through pack, MPI_Alltoallv and unpack, run by mpirun beside this
// program.
#pragma once

#include <string>
#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/case_samples.h"

namespace switchyard::bench {

/// Times of the slowest rank in each iteration, in microseconds.
struct MpiTimes {
  std::vector<double> dispatch_us{};
  std::vector<double> combine_us{};
};

/// Where the rival's program lies: beside this one.
std::string mpi_bench_path();

/// Errors: InvalidArgument when mpirun or the rival's program cannot be started, with how to get
/// them
void check_mpi();

/// Errors: Error of kInternal for text that is not the rival's
MpiTimes parse_mpi_output(const std::string& output);

/// Measures one case. Returns false when the user ended the run.
/// Errors: SystemError with the rival's own words when it fails, or when its data were wrong
bool run_mpi(const BenchOptions& options,
             const Workload& workload,
             int num_iterations,
             MpiTimes& times);

}  // namespace switchyard::bench
