#include "tests/emulated/device/launch.h"

#include <fmt/format.h>

#include <vector>

#include "tests/emulated/device/block.h"
#include "tests/emulated/device/error.h"

namespace switchyard::cuda {

// What kernels declare as extern __shared__. Every block has them for itself, as its OS thread.
alignas(1024) __thread std::byte shared[emulated::kSharedBytes];
alignas(1024) __thread std::int32_t counts[emulated::kSharedBytes / sizeof(std::int32_t)];

}  // namespace switchyard::cuda

namespace switchyard::emulated {

void launch(World& world, const Launch& shape, const std::function<void()>& kernel) {
  if (shape.shared_bytes > kSharedBytes) {
    throw EmulationError(fmt::format(
        "{}: {} bytes of shared memory, at most {}", shape.name, shape.shared_bytes, kSharedBytes));
  }
  std::vector<std::function<void()>> blocks;
  for (std::uint32_t block = 0; block < shape.num_blocks; ++block) {
    blocks.emplace_back([&world, &shape, &kernel, block] {
      std::memset(cuda::counts, 0xdb, shape.shared_bytes);
      Block running(world,
                    {block, shape.num_blocks, shape.num_threads, shape.name},
                    Extent::of(cuda::shared, shape.shared_bytes),
                    kernel);
      running.run();
    });
  }
  world.run_all(blocks);
}

}  // namespace switchyard::emulated
