#include "csrc/runtime/trace.h"

#include <algorithm>

namespace switchyard::runtime {
namespace {

using protocol::RoleKind;
using protocol::TraceRecord;

const char* op_name(RoleKind role) {
  switch (role) {
    case RoleKind::kCountExchange:
    case RoleKind::kScaleUpSend:
    case RoleKind::kScaleUpReceive:
    case RoleKind::kForward:
      return "dispatch";
    case RoleKind::kCombineAnnounce:
    case RoleKind::kCombineCopyIn:
    case RoleKind::kCombineAccumulate:
    case RoleKind::kForwardAccumulate:
    case RoleKind::kReceiveAccumulate:
      return "combine";
    case RoleKind::kNodeRelay:
    case RoleKind::kScaleOutSend:
      return "dispatch or combine";
  }
  return "unknown operation";
}

TraceEvent make_event(const TraceRecord& record, int worker, std::uint64_t newest_operation) {
  const auto age = static_cast<std::uint32_t>(newest_operation) - record.operation;
  return {.time_ns = static_cast<std::int64_t>(record.time_ns),
          .duration_ns = record.duration_ns,
          .operation = newest_operation - age,
          .kind = record.kind,
          .op = op_name(record.role),
          .role = protocol::role_name(record.role),
          .waits_for = record.kind == TraceKind::kBlocked ? protocol::wait_name(record.wait) : "",
          .peer = record.peer,
          .channel = record.channel,
          .worker = worker,
          .rows = record.rows,
          .bytes = std::uint64_t{record.bytes} * TraceRecord::kByteUnit};
}

}  // namespace

Trace make_trace(int rank,
                 std::uint64_t newest_operation,
                 const std::vector<host::SlotTrace>& slots) {
  Trace trace;
  trace.rank = rank;
  for (const host::SlotTrace& slot : slots) {
    trace.lost += slot.lost;
    for (const TraceRecord& record : slot.records) {
      trace.events.push_back(make_event(record, slot.slot, newest_operation));
    }
  }
  // Stable: a role's events of one moment keep their order.
  std::stable_sort(trace.events.begin(),
                   trace.events.end(),
                   [](const TraceEvent& a, const TraceEvent& b) { return a.time_ns < b.time_ns; });
  return trace;
}

}  // namespace switchyard::runtime
