#include "csrc/targets/cuda/cuda_error.h"

#include <fmt/format.h>

#include <cerrno>

#include "switchyard/error.h"

namespace switchyard::cuda {

void check(cudaError_t result, const char* doing) {
  if (result == cudaSuccess) {
    return;
  }
  const int origin = result == cudaErrorMemoryAllocation ? ENOMEM : EIO;
  throw SystemError(origin,
                    fmt::format("{}: CUDA error {} ({}): {}",
                                doing,
                                static_cast<int>(result),
                                cudaGetErrorName(result),
                                cudaGetErrorString(result)));
}

}  // namespace switchyard::cuda
