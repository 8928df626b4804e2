// What the command makes of the ranks' traces: a file for Perfetto, and a few lines that say where
// the slowest operations spent their time.
#pragma once

#include <string>
#include <vector>

#include "benchmarks/cli/case_plan.h"
#include "benchmarks/common/trace_json.h"

namespace switchyard::bench {

/// The cases that left a trace, named. Lifetime: names point into `traces`
std::vector<TracedCase> traced_cases(const std::vector<CasePlan>& plans,
                                     const TraceUnpacker& traces);

/// The slowest dispatch and combine of each case; empty when nothing was traced.
std::string stall_text(const std::vector<TracedCase>& cases, int num_ranks);

/// Errors: SystemError naming the path when it cannot be written
void write_trace(const std::vector<TracedCase>& cases, const std::string& path);

}  // namespace switchyard::bench
