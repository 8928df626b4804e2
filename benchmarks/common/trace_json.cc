#include "benchmarks/common/trace_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "benchmarks/common/trace_events.h"
#include "benchmarks/common/trace_spans.h"

namespace switchyard::bench {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// A row of the picture: roles of one kind and channel that do not overlap.
struct Track {
  std::int32_t rank;
  std::int32_t channel;
  std::string role;
  int lane;  // 0, or more where operations in flight overlap

  [[nodiscard]] bool operator<(const Track& other) const {
    return std::tie(rank, channel, role, lane) <
           std::tie(other.rank, other.channel, other.role, other.lane);
  }
  [[nodiscard]] std::string name() const {
    return fmt::format(
        "channel {} {}{}", channel, role, lane == 0 ? "" : fmt::format(" #{}", lane + 1));
  }
};

struct PlacedSpan {
  std::string case_name;
  RoleSpan span;
};

class Picture {
 public:
  explicit Picture(const std::vector<TracedCase>& cases) {
    for (const TracedCase& each : cases) {
      for (RoleSpan& span : role_spans(each.traces)) {
        origin_ns_ = std::min(origin_ns_, span.begin_ns);
        place({each.name, std::move(span)});
      }
    }
  }

  void draw(TraceEvents& events) const {
    std::int32_t rank = -1;
    int tid = 0;
    for (const auto& [track, spans] : tracks_) {
      tid = track.rank == rank ? tid + 1 : 1;
      if (track.rank != rank) {
        rank = track.rank;
        events.name_process(rank, fmt::format("rank {}", rank));
      }
      events.name_thread(rank, tid, track.name());
      for (const PlacedSpan& placed : spans) {
        add(events, placed, tid);
      }
    }
  }

  [[nodiscard]] std::int64_t origin_ns() const { return tracks_.empty() ? 0 : origin_ns_; }

 private:
  // In the first lane that is free again when the span begins; spans of a rank come in that order.
  void place(PlacedSpan placed) {
    const RoleSpan& span = placed.span;
    Track track{span.rank, span.channel, span.role, 0};
    while (!tracks_[track].empty() && tracks_[track].back().span.end_ns > span.begin_ns) {
      ++track.lane;
    }
    tracks_[track].push_back(std::move(placed));
  }

  void add(TraceEvents& events, const PlacedSpan& placed, int tid) const {
    const RoleSpan& span = placed.span;
    const auto add_slice = [&](std::string name,
                               const char* category,
                               std::int64_t begin_ns,
                               std::int64_t end_ns,
                               ordered_json arguments) {
      events.add({.process = span.rank,
                  .thread = tid,
                  .name = std::move(name),
                  .category = category,
                  .begin_ns = begin_ns - origin_ns_,
                  .duration_ns = end_ns - begin_ns,
                  .arguments = std::move(arguments)});
    };
    add_slice(fmt::format("{} {}", span.op, span.operation),
              "role",
              span.begin_ns,
              span.end_ns,
              {{"operation", span.operation},
               {"case", placed.case_name},
               {"worker", span.worker},
               {"ended", span.ended}});
    for (const StepSpan& step : span.steps) {
      add_slice(
          "step", "step", step.begin_ns, step.end_ns, {{"rows", step.rows}, {"bytes", step.bytes}});
    }
    for (const WaitSpan& wait : span.waits) {
      add_slice(wait.peer < 0 ? fmt::format("wait: {}", wait.waits_for)
                              : fmt::format("wait: rank {}, {}", wait.peer, wait.waits_for),
                "wait",
                wait.begin_ns,
                wait.end_ns,
                {{"for", wait.waits_for}, {"peer", wait.peer}});
    }
  }

  std::map<Track, std::vector<PlacedSpan>> tracks_;
  std::int64_t origin_ns_ = std::numeric_limits<std::int64_t>::max();
};

json pack_event(const TraceEvent& event, std::map<std::string, int>& names) {
  const auto index = [&names](const char* name) {
    return names.try_emplace(name, static_cast<int>(names.size())).first->second;
  };
  return {event.time_ns,
          event.duration_ns,
          event.operation,
          static_cast<int>(event.kind),
          index(event.op),
          index(event.role),
          index(event.waits_for),
          event.peer,
          event.channel,
          event.worker,
          event.rows,
          event.bytes};
}

}  // namespace

ordered_json to_perfetto(const std::vector<TracedCase>& cases) {
  Picture picture(cases);
  ordered_json ranks = ordered_json::array();
  for (const TracedCase& each : cases) {
    for (const Trace& trace : each.traces) {
      ranks.push_back({{"case", each.name},
                       {"rank", trace.rank},
                       {"events", trace.events.size()},
                       {"lost", trace.lost},
                       {"clock_offset_ns", trace.clock_offset_ns}});
    }
  }
  TraceEvents events;
  picture.draw(events);
  return events.take({{"origin_ns", picture.origin_ns()}, {"traces", ranks}});
}

std::vector<json> pack_trace(const Trace& trace, std::size_t max_events) {
  std::vector<json> documents;
  std::size_t begin = 0;
  do {
    const std::size_t end = std::min(begin + max_events, trace.events.size());
    std::map<std::string, int> names;
    json events = json::array();
    for (std::size_t i = begin; i < end; ++i) {
      events.push_back(pack_event(trace.events[i], names));
    }
    std::vector<std::string> table(names.size());
    for (const auto& [name, index] : names) {
      table[static_cast<std::size_t>(index)] = name;
    }
    documents.push_back({{"rank", trace.rank},
                         {"clock_offset_ns", trace.clock_offset_ns},
                         {"lost", begin == 0 ? trace.lost : 0},
                         {"names", table},
                         {"events", events}});
    begin = end;
  } while (begin < trace.events.size());
  return documents;
}

void TraceUnpacker::take(std::size_t case_idx, const json& packed) {
  by_case_.resize(std::max(by_case_.size(), case_idx + 1));
  std::vector<Trace>& traces = by_case_[case_idx];
  const auto rank = packed.at("rank").get<std::int32_t>();
  auto trace = std::find_if(
      traces.begin(), traces.end(), [rank](const Trace& each) { return each.rank >= rank; });
  if (trace == traces.end() || trace->rank != rank) {
    trace = traces.insert(trace, Trace{.rank = rank});
    trace->clock_offset_ns = packed.at("clock_offset_ns").get<std::int64_t>();
  }
  trace->lost += packed.at("lost").get<std::uint64_t>();
  const json& names = packed.at("names");
  for (const json& event : packed.at("events")) {
    const auto name = [&](std::size_t field) {
      return keep(names.at(event.at(field).get<std::size_t>()).get<std::string>());
    };
    trace->events.push_back({.time_ns = event.at(0).get<std::int64_t>(),
                             .duration_ns = event.at(1).get<std::int64_t>(),
                             .operation = event.at(2).get<std::uint64_t>(),
                             .kind = static_cast<TraceKind>(event.at(3).get<int>()),
                             .op = name(4),
                             .role = name(5),
                             .waits_for = name(6),
                             .peer = event.at(7).get<std::int32_t>(),
                             .channel = event.at(8).get<std::int32_t>(),
                             .worker = event.at(9).get<std::int32_t>(),
                             .rows = event.at(10).get<std::uint32_t>(),
                             .bytes = event.at(11).get<std::uint64_t>()});
  }
}

}  // namespace switchyard::bench
