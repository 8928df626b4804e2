// A run of the simulator as a timeline for Perfetto: a process for each rank, a thread for each
// warp, every store at the moment it was made and at the moment it became visible.
#pragma once

#include <string>

#include "csrc/targets/sim/weak_memory.h"

namespace switchyard::bench {

/// Errors: SystemError naming the path when it cannot be written
void write_sim_trace(const sim::WeakMemory& memory, const std::string& path);

}  // namespace switchyard::bench
