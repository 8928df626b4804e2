#include "csrc/bootstrap/launched_rank.h"

#include "csrc/bootstrap/contract.h"
#include "csrc/bootstrap/environment.h"

namespace switchyard::bootstrap {
namespace {

/// Variables of one launcher. Sources: PyTorch's torchrun manual, "Environment Variables"; Open
/// MPI's FAQ, "What environment variables are set?"; MPICH's Hydra, "Environment Settings"; Slurm's
/// srun manual, "OUTPUT ENVIRONMENT VARIABLES".
struct Launcher {
  const char* name;
  const char* rank;
  const char* num_ranks;
  const char* ranks_here;  ///< of this machine; null: there is none
  const char* machines;    ///< null: there is none
};

/// The first whose variables are set. SLURM_STEP_NUM_TASKS is set by srun alone: SLURM_NTASKS is in
/// a batch script, too, which is no rank. srun may set PMI's variables, to the same values.
constexpr Launcher kLaunchers[] = {
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", nullptr},
    {"mpirun",
     "OMPI_COMM_WORLD_RANK",
     "OMPI_COMM_WORLD_SIZE",
     "OMPI_COMM_WORLD_LOCAL_SIZE",
     nullptr},
    {"mpiexec", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS", nullptr},
    {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", nullptr, "SLURM_STEP_NUM_NODES"},
};

bool is_one_machine(const Launcher& launcher, int num_ranks) {
  if (launcher.ranks_here != nullptr) {
    return read_integer_variable(launcher.ranks_here, 1, kMaxRanks) == num_ranks;
  }
  return read_integer_variable(launcher.machines, 1, kMaxRanks) == 1;
}

}  // namespace

std::optional<LaunchedRank> read_launched_rank() {
  for (const Launcher& launcher : kLaunchers) {
    const auto num_ranks = read_integer_variable(launcher.num_ranks, 1, kMaxRanks);
    if (!num_ranks || !read_variable(launcher.rank)) {
      continue;
    }
    const auto rank = read_integer_variable(launcher.rank, 0, *num_ranks - 1);
    return LaunchedRank{.launcher = launcher.name,
                        .size_variable = launcher.num_ranks,
                        .rank = static_cast<int>(*rank),
                        .num_ranks = static_cast<int>(*num_ranks),
                        .one_machine = is_one_machine(launcher, static_cast<int>(*num_ranks))};
  }
  return std::nullopt;
}

}  // namespace switchyard::bootstrap
