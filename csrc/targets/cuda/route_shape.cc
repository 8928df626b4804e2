#include <fmt/format.h>

#include <algorithm>

#include "csrc/targets/cuda/route_kernel.h"
#include "switchyard/error.h"

namespace switchyard::cuda {

RouteShape route_shape(const WorkspaceShape& shape, std::uint32_t shared_limit) {
  const std::int32_t units = shape.row_per_expert ? shape.num_experts : shape.num_ranks;
  const std::uint32_t bytes_per_warp = static_cast<std::uint32_t>(units) * sizeof(std::int32_t);
  const std::uint32_t num_warps =
      std::min<std::uint32_t>(shared_limit / bytes_per_warp, kMaxRouteWarps);
  if (num_warps == 0) {
    throw InvalidArgument(
        fmt::format("num_experts: got {}, wanted at most {} (what one SM's shared memory counts)",
                    units,
                    shared_limit / sizeof(std::int32_t)));
  }
  return {static_cast<int>(num_warps), num_warps * bytes_per_warp};
}

}  // namespace switchyard::cuda
