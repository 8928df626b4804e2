// Dispatch and combine as kernels: what they take, how they are launched. Warps play the roles of
// csrc/protocol; which warp plays which is decided in dispatch_kernel.h and combine_kernel.h.
#pragma once

#include <cuda_runtime_api.h>

#include "csrc/targets/cuda/launch_args.h"

namespace switchyard::cuda {

/// Loads the kernels onto the current device, before their first launch there. Errors: SystemError
/// with CUDA's own text, or when the device has too little shared memory
void load_dispatch_kernels();
void load_combine_kernels();

/// Launches with `num_sms` blocks on `stream`; `hints` false builds the same transfers without
/// cache hints (for comparison). Errors: SystemError with CUDA's own text
void launch_dispatch(const DispatchLaunch& launch, int num_sms, bool hints, cudaStream_t stream);
void launch_combine(const CombineLaunch& launch, int num_sms, bool hints, cudaStream_t stream);

/// Blocks of these kernels, loaded before, that the current device holds at once: one per SM. Ranks
/// that share it wait for each other, so all their blocks must be resident together. Errors:
/// SystemError
int resident_blocks();

}  // namespace switchyard::cuda
