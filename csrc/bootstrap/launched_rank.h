// Who this process is among those that a launcher started, by the variables that each launcher
// sets: torchrun, Open MPI's mpirun, MPICH's and Intel MPI's mpiexec, Slurm's srun.
#pragma once

#include <optional>
#include <string_view>

namespace switchyard::bootstrap {

struct LaunchedRank {
  std::string_view launcher;  ///< as its users call it
  std::string_view size_variable;
  int rank = 0;
  int num_ranks = 1;
  bool one_machine = false;  ///< all ranks run on this one, as far as the launcher says
};

/// Nothing when no launcher's variables are set, or only one of its two.
/// Errors: InvalidArgument with name and value when a variable is no number or out of range
std::optional<LaunchedRank> read_launched_rank();

}  // namespace switchyard::bootstrap
