// A recorded routing: which experts a real gate chose, one row per token, in NumPy's file format.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "benchmarks/common/workload.h"

namespace switchyard::bench {

struct RecordedRouting {
  std::int64_t num_rows = 0;
  std::vector<std::int64_t> topk_idx;  ///< [num_rows][workload.topk], -1 for none
};

/// Reads and checks a trace.
/// Errors: InvalidArgument naming the file, got and wanted: not readable, not a NumPy file, not
/// int32 or int64 in C order,
///         not [at least one, topk], or an expert out of range (with its row and column)
RecordedRouting read_trace(const std::string& path, const Workload& workload);

}  // namespace switchyard::bench
