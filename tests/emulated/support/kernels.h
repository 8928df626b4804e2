// The kernels of csrc/targets/cuda on the emulated machine: what their launchers do with <<<>>>.
#pragma once

#include <cstdint>
#include <string>

#include "csrc/targets/cuda/launch_args.h"
#include "tests/emulated/device/world.h"

namespace switchyard::emulated {

struct KernelOptions {
  std::uint32_t num_sms = 1;
  bool hints = true;
};

/// Each returns when the kernel has ended. Called by: a body of World::run_all
void launch(World& machine, const cuda::RouteArgs& args, const std::string& name);
void launch(World& machine,
            const cuda::DispatchLaunch& args,
            const KernelOptions& options,
            const std::string& name);
void launch(World& machine,
            const cuda::CombineLaunch& args,
            const KernelOptions& options,
            const std::string& name);

}  // namespace switchyard::emulated
