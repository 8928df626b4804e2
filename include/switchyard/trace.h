// What a rank's roles did and what they waited for, when Config::trace_events asks for it: plain
// structs that a framework can merge with its own timeline. docs/tracing.md says how to read them.
#pragma once

#include <cstdint>
#include <vector>

namespace switchyard {

enum class TraceKind : std::uint8_t {
  kBegan,     ///< a worker came to the role for the first time
  kAdvanced,  ///< a step of `duration_ns` that did something
  kBlocked,   ///< until its next event the role waits for `waits_for`
  kEnded,     ///< the role's last step, of `duration_ns`
  kDropped,   ///< the role was given up for a fault of the group
};

/// One event of one role. A role lives for one operation on one channel.
struct TraceEvent {
  std::int64_t time_ns = 0;  ///< on this machine's CLOCK_MONOTONIC; a step's beginning
  std::int64_t duration_ns = 0;
  std::uint64_t operation = 0;  ///< number of the dispatch or combine on its buffer, from 1
  TraceKind kind = TraceKind::kBegan;
  const char* op = "";         ///< "dispatch" or "combine"
  const char* role = "";       ///< "scale-up send", ...; for ever valid, as all names here
  const char* waits_for = "";  ///< kBlocked: "the arrival of its rows", ...
  std::int32_t peer = -1;      ///< kBlocked: the rank that must act, -1 for another role of its own
  std::int32_t channel = 0;
  std::int32_t worker = 0;  ///< slot of the rank's workers that ran the role
  std::uint32_t rows = 0;   ///< rows that the step wrote, or read into a sum
  std::uint64_t bytes = 0;  ///< of those rows, rounded up to 16 for each step
};

/// One rank's events since the last Buffer::take_trace, in order of time.
struct Trace {
  std::int32_t rank = 0;
  /// Add to times to compare them with rank 0's. 0 where all ranks share one machine's clock.
  std::int64_t clock_offset_ns = 0;
  std::uint64_t lost = 0;  ///< events that newer ones have overwritten
  std::vector<TraceEvent> events{};
};

}  // namespace switchyard
