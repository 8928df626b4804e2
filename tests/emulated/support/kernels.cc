#include "tests/emulated/support/kernels.h"

#include <algorithm>

#include "csrc/targets/cuda/combine_kernel.h"
#include "csrc/targets/cuda/dispatch_kernel.h"
#include "csrc/targets/cuda/route_tokens.h"
#include "tests/emulated/device/launch.h"

namespace switchyard::emulated {

void launch(World& machine, const cuda::RouteArgs& args, const std::string& name) {
  // As much shared memory as keeps the warps few: they are enough.
  const std::int32_t units =
      args.shape.row_per_expert ? args.shape.num_experts : args.shape.num_ranks;
  const auto limit =
      std::max<std::uint32_t>(512, static_cast<std::uint32_t>(units) * sizeof(std::int32_t));
  const cuda::RouteShape shape = cuda::route_shape(args.shape, limit);
  launch(machine,
         {1, static_cast<std::uint32_t>(shape.num_warps * cuda::kLanes), shape.shared_bytes, name},
         [&] { cuda::route_kernel(args); });
}

void launch(World& machine,
            const cuda::DispatchLaunch& args,
            const KernelOptions& options,
            const std::string& name) {
  launch(
      machine, {options.num_sms, cuda::kThreadsPerBlock, sizeof(cuda::DispatchBlock), name}, [&] {
        options.hints ? cuda::dispatch_kernel<cuda::WithHints>(args)
                      : cuda::dispatch_kernel<cuda::WithoutHints>(args);
      });
}

void launch(World& machine,
            const cuda::CombineLaunch& args,
            const KernelOptions& options,
            const std::string& name) {
  launch(machine, {options.num_sms, cuda::kThreadsPerBlock, sizeof(cuda::CombineBlock), name}, [&] {
    options.hints ? cuda::combine_kernel<cuda::WithHints>(args)
                  : cuda::combine_kernel<cuda::WithoutHints>(args);
  });
}

}  // namespace switchyard::emulated
