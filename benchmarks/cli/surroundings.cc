#include "benchmarks/cli/surroundings.h"

namespace switchyard::bench {

Surroundings read_surroundings() {
  const auto launched = bootstrap::read_launched_rank();
  // A job step of one task is an interactive shell rather than a group of one.
  const bool is_shell = launched && launched->launcher == "srun" && launched->num_ranks == 1;
  return {.launched = is_shell ? std::nullopt : launched};
}

}  // namespace switchyard::bench
