#include "csrc/targets/cuda/route_kernel.h"

#include "csrc/targets/cuda/cuda_error.h"
#include "csrc/targets/cuda/load_kernel.h"
#include "csrc/targets/cuda/route_tokens.h"

namespace switchyard::cuda {

void load_route_kernel(std::uint32_t shared_limit) {
  load_kernel(&route_kernel, shared_limit, "route");
}

void launch_route(const RouteArgs& args, std::uint32_t shared_limit, cudaStream_t stream) {
  const RouteShape shape = route_shape(args.shape, shared_limit);
  route_kernel<<<1, static_cast<unsigned>(shape.num_warps * kLanes), shape.shared_bytes, stream>>>(
      args);
  check(cudaGetLastError(), "route kernel: launch");
}

}  // namespace switchyard::cuda
