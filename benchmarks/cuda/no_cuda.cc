// Stands in for this folder where the build has no device code.
#include <cerrno>

#include "benchmarks/cuda/cuda_machine.h"
#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

constexpr const char* kMissing =
    "this build has no device code; build Switchyard with SWITCHYARD_CUDA=ON where there is a CUDA "
    "toolkit of 12.8 or later";

}  // namespace

GpuProbe probe_gpus() {
  return {.why_not = kMissing};
}

std::unique_ptr<RankMachine> make_cuda_machine(int) {
  throw SystemError(ENODEV, kMissing);
}

}  // namespace switchyard::bench
