// The rivals: the same workload through pack, MPI_Alltoallv and unpack, run by mpirun beside this
// program.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/case_samples.h"

namespace switchyard::bench {

struct MpiRival {
  const char* name;   ///< in reports
  const char* plan;   ///< as its program calls it (benchmarks/mpi/send_plan.h)
  const char* title;  ///< for people: "through ..."
};

/// What one would write first, and the strongest we could write.
inline constexpr std::array kMpiRivals{MpiRival{"mpi", "plain", "MPI"},
                                       MpiRival{"mpi_dedup", "dedup", "MPI, deduplicated"}};

/// Times of the slowest rank in each iteration, in microseconds.
struct MpiTimes {
  std::vector<double> dispatch_us{};
  std::vector<double> combine_us{};
};

/// Where the rivals' program lies: beside this one.
std::string mpi_bench_path();

/// How a program of so many ranks is started, up to its name.
std::vector<std::string> mpirun_command(int num_ranks);

/// Errors: InvalidArgument when mpirun or the rivals' program cannot be started, with how to get
/// them
void check_mpi();

/// Errors: Error of kInternal for text that is not a rival's
MpiTimes parse_mpi_output(const std::string& output);

/// Measures one case and adds to `times`. Returns false when the user ended the run.
/// Errors: SystemError with the rival's own words when it fails, or when its data were wrong
bool run_mpi(const BenchOptions& options,
             const Workload& workload,
             const MpiRival& rival,
             int num_iterations,
             MpiTimes& times);

}  // namespace switchyard::bench
