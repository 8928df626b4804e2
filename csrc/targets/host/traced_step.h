// One step of a role by a CPU thread, recorded where tracing is on. The only place of the host
// target that steps a role.
#pragma once

#include <chrono>
#include <cstdint>

#include "csrc/protocol/progress.h"
#include "csrc/protocol/trace.h"

namespace switchyard::host {

inline std::uint64_t trace_now_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

/// Off, this is `role.step(warp)` behind one branch (benchmarks/micro/trace_bench.cc).
template <class Role, class W>
protocol::Progress traced_step(Role& role,
                               W& warp,
                               protocol::TraceRing& ring,
                               protocol::RoleTrace& trace) {
  if (!ring.on()) {
    return role.step(warp);
  }
  const protocol::MovedRows before = warp.moved();
  protocol::TracedStep step;
  step.begin_ns = trace_now_ns();
  step.progress = role.step(warp);
  step.end_ns = trace_now_ns();
  step.moved = warp.moved().since(before);
  trace.note(ring, step, role.wait());
  return step.progress;
}

}  // namespace switchyard::host
