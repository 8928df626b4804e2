// Events of a trace, written by hand: times in us, one operation.
#pragma once

#include <cstdint>

#include "switchyard/trace.h"

namespace switchyard::test {

struct TraceWriter {
  Trace trace;
  const char* op = "dispatch";
  const char* role = "scale-up send";
  std::uint64_t operation = 1;
  int channel = 0;

  TraceWriter& began(std::int64_t at_us) { return add(TraceKind::kBegan, at_us, 0); }
  TraceWriter& advanced(std::int64_t at_us, std::int64_t for_us, std::uint32_t rows = 0) {
    add(TraceKind::kAdvanced, at_us, for_us);
    trace.events.back().rows = rows;
    trace.events.back().bytes = std::uint64_t{rows} * 16;
    return *this;
  }
  TraceWriter& blocked(std::int64_t at_us, const char* waits_for, int peer) {
    add(TraceKind::kBlocked, at_us, 0);
    trace.events.back().waits_for = waits_for;
    trace.events.back().peer = peer;
    return *this;
  }
  TraceWriter& ended(std::int64_t at_us, std::int64_t for_us = 1) {
    return add(TraceKind::kEnded, at_us, for_us);
  }
  TraceWriter& dropped(std::int64_t at_us) { return add(TraceKind::kDropped, at_us, 0); }
  /// From here on, events are of this role.
  TraceWriter& with(const char* new_op,
                    std::uint64_t number,
                    const char* new_role,
                    int new_channel) {
    op = new_op;
    operation = number;
    role = new_role;
    channel = new_channel;
    return *this;
  }

 private:
  TraceWriter& add(TraceKind kind, std::int64_t at_us, std::int64_t for_us) {
    trace.events.push_back({.time_ns = at_us * 1000,
                            .duration_ns = for_us * 1000,
                            .operation = operation,
                            .kind = kind,
                            .op = op,
                            .role = role,
                            .waits_for = "",
                            .peer = -1,
                            .channel = channel});
    return *this;
  }
};

/// Of rank `rank`.
inline TraceWriter trace_of(int rank) {
  TraceWriter writer;
  writer.trace.rank = rank;
  return writer;
}

}  // namespace switchyard::test
