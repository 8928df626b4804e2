// Dispatch and combine as kernels: what they take, how they are launched. Warps play the roles of
// csrc/protocol; which warp plays which is decided in dispatch_kernel.h and combine_kernel.h.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "csrc/protocol/combine_args.h"
#include "csrc/protocol/dispatch_args.h"
#include "csrc/targets/cuda/reserved_region.h"
#include "csrc/targets/cuda/sequence.h"

namespace switchyard::cuda {

/// What kernel parameters cannot say because a captured graph is launched again and again: the
/// operation's number comes from the sequence. Common to both operations.
struct OperationLaunch {
  Sequence* sequence = nullptr;
  Outcome* outcome = nullptr;  ///< in memory of the host
  std::uint64_t timeout_ns = 0;
  protocol::OperationDescriptor descriptor{};  ///< what peers may read of this operation
  ReservedRegion regions[2];
  std::int32_t num_regions = 0;
};

struct DispatchLaunch {
  protocol::DispatchArgs args;
  OperationLaunch launch;
};

struct CombineLaunch {
  protocol::CombineArgs args;
  OperationLaunch launch;
};

/// Launches with `num_sms` blocks on `stream`; `hints` false builds the same transfers without
/// cache hints (for comparison). Errors: SystemError with CUDA's own text
void launch_dispatch(const DispatchLaunch& launch, int num_sms, bool hints, cudaStream_t stream);
void launch_combine(const CombineLaunch& launch, int num_sms, bool hints, cudaStream_t stream);

/// Blocks of these kernels that the current device holds at once: one per SM. Ranks that share it
/// wait for each other, so all their blocks must be resident together. Errors: SystemError
int resident_blocks();

}  // namespace switchyard::cuda
