// What is handed to the kernels, in types that need no CUDA header: the runtime fills it, the
// launchers (route_kernel.h, operation_kernels.h) pass it on.
#pragma once

#include <cstdint>

#include "csrc/protocol/combine_args.h"
#include "csrc/protocol/dispatch_args.h"
#include "csrc/targets/cuda/reserved_region.h"
#include "csrc/targets/cuda/sequence.h"
#include "csrc/targets/cuda/workspace.h"

namespace switchyard::cuda {

/// The caller's tensors, from which a route is made. Units: strides in elements
struct RouteArgs {
  WorkspaceShape shape;
  Workspace workspace;
  const void* topk_idx = nullptr;  ///< [T, K] int32 or int64
  bool wide_index = false;         ///< int64
  std::int64_t token_stride = 0;
  std::int64_t position_stride = 0;
  const float* topk_weights = nullptr;  ///< [T, K], null: none
  std::int64_t weight_token_stride = 0;
  /// Where the world's experts are among the members' (routing::ExpertMap); null: all are.
  const std::int32_t* expert_map = nullptr;
  std::int32_t map_size = 0;
  std::int32_t this_rank = 0;
  std::int32_t max_tokens = 0;  ///< padded layout; else 0
  Sequence* sequence = nullptr;
};

/// What kernel parameters cannot say because a captured graph is launched again and again: the
/// operation's number comes from the sequence. Common to both operations.
struct OperationLaunch {
  Sequence* sequence = nullptr;
  Outcome* outcome = nullptr;  ///< in memory of the host
  std::uint64_t timeout_ns = 0;
  protocol::OperationDescriptor descriptor{};  ///< what peers may read of this operation
  ReservedRegion regions[2];
  std::int32_t num_regions = 0;
  /// Workspace::guard of the route that the operation makes or follows.
  std::uint32_t* guard = nullptr;
  bool makes_tables = false;  ///< writes the guard; else leaves the operation out where it is set
  bool keeps_first = false;   ///< of many launches with one outcome, the first that went wrong
};

struct DispatchLaunch {
  protocol::DispatchArgs args;
  OperationLaunch launch;
};

struct CombineLaunch {
  protocol::CombineArgs args;
  OperationLaunch launch;
};

}  // namespace switchyard::cuda
