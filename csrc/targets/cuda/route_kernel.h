// The route of this rank's tokens, made on the GPU from its top-k choices: what routing::make_route
// does on the host, entry for entry the same, by one block.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "csrc/targets/cuda/sequence.h"
#include "csrc/targets/cuda/workspace.h"

namespace switchyard::cuda {

/// The caller's tensors. Units: strides in elements
struct RouteArgs {
  WorkspaceShape shape;
  Workspace workspace;
  const void* topk_idx = nullptr;  ///< [T, K] int32 or int64
  bool wide_index = false;         ///< int64
  std::int64_t token_stride = 0;
  std::int64_t position_stride = 0;
  const float* topk_weights = nullptr;  ///< [T, K], null: none
  std::int64_t weight_token_stride = 0;
  std::int32_t this_rank = 0;
  std::int32_t max_tokens = 0;  ///< padded layout; else 0
  Sequence* sequence = nullptr;
};

inline constexpr int kMaxRouteWarps = 32;

/// How a route is launched: as many warps as the counters of a block let fit.
struct RouteShape {
  int num_warps = 0;
  std::uint32_t shared_bytes = 0;
};
/// Errors: InvalidArgument when one warp's counters do not fit into `shared_limit` bytes
RouteShape route_shape(const WorkspaceShape& shape, std::uint32_t shared_limit);

/// Errors: SystemError with CUDA's own text
void launch_route(const RouteArgs& args, std::uint32_t shared_limit, cudaStream_t stream);

}  // namespace switchyard::cuda
