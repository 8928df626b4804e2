// One rank of a benchmark on a GPU, and a look at which GPUs there are. Types of no vendor: in
// builds without device code, no_cuda.cc stands in.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "benchmarks/common/rank_machine.h"

namespace switchyard::bench {

/// What a process of its own found. `why_not` is for people; empty where there is a GPU.
struct GpuProbe {
  int num_gpus = 0;
  int num_sms = 0;                 ///< of the first
  std::uint64_t memory_bytes = 0;  ///< of the first
  std::string name{};              ///< of the first
  std::string why_not{};
};

/// Looks for GPUs in a process of its own: CUDA would not survive the forks of this one.
/// Called by: the process's only thread
GpuProbe probe_gpus();

/// Called by: the rank's thread, whose current GPU it becomes. Errors: SystemError
std::unique_ptr<RankMachine> make_cuda_machine(int gpu);

}  // namespace switchyard::bench
