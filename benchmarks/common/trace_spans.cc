#include "benchmarks/common/trace_spans.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

namespace switchyard::bench {
namespace {

// The events of one rank, as they come.
class RankSpans {
 public:
  explicit RankSpans(const Trace& trace) : trace_(trace) {
    for (const TraceEvent& event : trace.events) {
      take(event);
    }
    for (auto& [key, span] : open_) {
      close(span, last_ns_);
    }
  }

  std::vector<RoleSpan> take_spans() {
    std::stable_sort(spans_.begin(), spans_.end(), [](const RoleSpan& a, const RoleSpan& b) {
      return a.begin_ns < b.begin_ns;
    });
    return std::move(spans_);
  }

 private:
  using Key = std::tuple<std::uint64_t, std::string, std::int32_t>;
  struct Open {
    RoleSpan span;
    bool waiting = false;
  };

  Open& open(const TraceEvent& event, std::int64_t at_ns) {
    const auto [where, added] =
        open_.try_emplace(Key{event.operation, event.role, event.channel}, Open{});
    if (added) {
      where->second.span = {.rank = trace_.rank,
                            .operation = event.operation,
                            .op = event.op,
                            .role = event.role,
                            .channel = event.channel,
                            .worker = event.worker,
                            .begin_ns = at_ns,
                            .end_ns = at_ns,
                            .saw_begin = event.kind == TraceKind::kBegan};
    }
    return where->second;
  }

  void take(const TraceEvent& event) {
    const std::int64_t begin_ns = event.time_ns + trace_.clock_offset_ns;
    const std::int64_t end_ns = begin_ns + event.duration_ns;
    last_ns_ = std::max(last_ns_, end_ns);
    Open& role = open(event, begin_ns);
    if (role.waiting) {
      role.span.waits.back().end_ns = begin_ns;
      role.waiting = false;
    }
    switch (event.kind) {
      case TraceKind::kBegan:
        break;
      case TraceKind::kBlocked:
        role.span.waits.push_back({begin_ns, begin_ns, event.waits_for, event.peer});
        role.waiting = true;
        break;
      case TraceKind::kAdvanced:
      case TraceKind::kEnded:
        role.span.steps.push_back({begin_ns, end_ns, event.rows, event.bytes});
        break;
      case TraceKind::kDropped:
        break;
    }
    role.span.end_ns = end_ns;
    if (event.kind == TraceKind::kEnded || event.kind == TraceKind::kDropped) {
      role.span.ended = event.kind == TraceKind::kEnded;
      spans_.push_back(std::move(role.span));
      open_.erase(Key{event.operation, event.role, event.channel});
    }
  }

  void close(Open& role, std::int64_t at_ns) {
    if (role.waiting) {
      role.span.waits.back().end_ns = at_ns;
      role.span.end_ns = at_ns;
    }
    spans_.push_back(std::move(role.span));
  }

  const Trace& trace_;
  std::map<Key, Open> open_;
  std::vector<RoleSpan> spans_;
  std::int64_t last_ns_ = 0;
};

}  // namespace

std::vector<RoleSpan> role_spans(const std::vector<Trace>& traces) {
  std::vector<const Trace*> by_rank;
  for (const Trace& trace : traces) {
    by_rank.push_back(&trace);
  }
  std::stable_sort(by_rank.begin(), by_rank.end(), [](const Trace* a, const Trace* b) {
    return a->rank < b->rank;
  });
  std::vector<RoleSpan> all;
  for (const Trace* trace : by_rank) {
    std::vector<RoleSpan> spans = RankSpans(*trace).take_spans();
    std::move(spans.begin(), spans.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace switchyard::bench
