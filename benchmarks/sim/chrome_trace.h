// A run as a timeline in the format that Perfetto and chrome://tracing read: a process for each
// rank, a thread for each warp, an arrow of moments.
#pragma once

#include <string>

#include "csrc/targets/sim/weak_memory.h"

namespace switchyard::sim {

/// Errors: SystemError when the file cannot be written
void write_chrome_trace(const WeakMemory& memory, const std::string& path);

}  // namespace switchyard::sim
