// CUDA's error codes as exceptions.
#pragma once

#include <cuda_runtime_api.h>

namespace switchyard::cuda {

/// Errors: SystemError saying what was being done and CUDA's own text, unless `result` is success
void check(cudaError_t result, const char* doing);

}  // namespace switchyard::cuda
