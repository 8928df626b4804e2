// The route of this rank's tokens, made on the GPU from its top-k choices: what routing::make_route
// does on the host, entry for entry the same, by one block.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "csrc/targets/cuda/launch_args.h"

namespace switchyard::cuda {

inline constexpr int kMaxRouteWarps = 32;

/// How a route is launched: as many warps as the counters of a block let fit.
struct RouteShape {
  int num_warps = 0;
  std::uint32_t shared_bytes = 0;
};
/// Errors: InvalidArgument when one warp's counters do not fit into `shared_limit` bytes
RouteShape route_shape(const WorkspaceShape& shape, std::uint32_t shared_limit);

/// As load_dispatch_kernels.
void load_route_kernel(std::uint32_t shared_limit);

/// Errors: SystemError with CUDA's own text
void launch_route(const RouteArgs& args, std::uint32_t shared_limit, cudaStream_t stream);

}  // namespace switchyard::cuda
