// Puts the events of all ranks together: one span for the life of each role, with its steps and
// waits, on one clock.
#pragma once

#include <cstdint>
#include <vector>

#include "switchyard/trace.h"

namespace switchyard::bench {

struct StepSpan {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
};

struct WaitSpan {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  const char* waits_for = "";
  std::int32_t peer = -1;

  [[nodiscard]] std::int64_t length_ns() const { return end_ns - begin_ns; }
};

/// One role of one operation on one rank and channel. Steps and waits lie within it, in order, and
/// do not overlap.
struct RoleSpan {
  std::int32_t rank = 0;
  std::uint64_t operation = 0;
  const char* op = "";
  const char* role = "";
  std::int32_t channel = 0;
  std::int32_t worker = 0;
  std::int64_t begin_ns = 0;  ///< on rank 0's clock, as all times here
  std::int64_t end_ns = 0;
  bool saw_begin = false;  ///< else its first events have been overwritten
  bool ended = false;      ///< else it was dropped, or was still at work
  std::vector<StepSpan> steps{};
  std::vector<WaitSpan> waits{};

  [[nodiscard]] bool whole() const { return saw_begin && ended; }
};

/// Ordered by rank, then by beginning. The traces are of one buffer: each rank's at most once. A
/// wait that no event ends lasts until its rank's last event.
/// Lifetime: names point where those of the events do
std::vector<RoleSpan> role_spans(const std::vector<Trace>& traces);

}  // namespace switchyard::bench
