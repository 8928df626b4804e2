#include "benchmarks/cli/trace_output.h"

#include <fmt/format.h>

#include "benchmarks/cli/report.h"
#include "benchmarks/common/stall_report.h"
#include "benchmarks/common/trace_spans.h"

namespace switchyard::bench {

std::vector<TracedCase> traced_cases(const std::vector<CasePlan>& plans,
                                     const TraceUnpacker& traces) {
  std::vector<TracedCase> cases;
  for (std::size_t i = 0; i < traces.by_case().size() && i < plans.size(); ++i) {
    if (traces.by_case()[i].empty()) {
      continue;
    }
    cases.push_back({case_name(plans[i].workload), traces.by_case()[i]});
  }
  return cases;
}

std::string stall_text(const std::vector<TracedCase>& cases, int num_ranks) {
  std::string text;
  for (const TracedCase& each : cases) {
    for (const Stall& stall : find_stalls(role_spans(each.traces), num_ranks)) {
      text += fmt::format("{}: {}", each.name, to_string(stall));
    }
  }
  return text;
}

void write_trace(const std::vector<TracedCase>& cases, const std::string& path) {
  write_file(path, to_perfetto(cases).dump() + "\n");
}

}  // namespace switchyard::bench
