#include "benchmarks/common/trace_events.h"

#include <utility>

namespace switchyard::bench {
namespace {

constexpr double kNsPerUs = 1e3;

}  // namespace

void TraceEvents::add_name(const char* what, int process, int thread, const std::string& name) {
  events_.push_back(
      {{"ph", "M"}, {"name", what}, {"pid", process}, {"tid", thread}, {"args", {{"name", name}}}});
}

void TraceEvents::name_process(int process, const std::string& name) {
  add_name("process_name", process, 0, name);
}

void TraceEvents::name_thread(int process, int thread, const std::string& name) {
  add_name("thread_name", process, thread, name);
}

void TraceEvents::add(TraceSlice slice) {
  events_.push_back({{"ph", "X"},
                     {"name", std::move(slice.name)},
                     {"cat", slice.category},
                     {"pid", slice.process},
                     {"tid", slice.thread},
                     {"ts", static_cast<double>(slice.begin_ns) / kNsPerUs},
                     {"dur", static_cast<double>(slice.duration_ns) / kNsPerUs},
                     {"args", std::move(slice.arguments)}});
}

nlohmann::ordered_json TraceEvents::take(nlohmann::ordered_json other_data) {
  return {{"traceEvents", std::exchange(events_, nlohmann::ordered_json::array())},
          {"displayTimeUnit", "ns"},
          {"otherData", std::move(other_data)}};
}

}  // namespace switchyard::bench
