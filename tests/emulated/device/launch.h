// Launches kernels on the emulated machine: what <<<blocks, threads, shared bytes>>> does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "tests/emulated/device/world.h"

namespace switchyard::emulated {

/// Shared memory that a block can have, on the smallest of the GPUs that kernels are made for.
inline constexpr std::size_t kSharedBytes = std::size_t{227} * 1024;

struct Launch {
  std::uint32_t num_blocks = 1;
  std::uint32_t num_threads = 32;
  std::size_t shared_bytes = 0;
  std::string name;
};

/// Runs a kernel to its end: `kernel` is called by every thread of every block.
/// Called by: a body of World::run_all. Errors: EmulationError
void launch(World& world, const Launch& shape, const std::function<void()>& kernel);

}  // namespace switchyard::emulated
