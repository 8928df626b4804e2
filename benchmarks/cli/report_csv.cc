#include <fmt/format.h>

#include <iterator>

#include "benchmarks/cli/report.h"
#include "benchmarks/cli/versus_mpi.h"

namespace switchyard::bench {

std::string to_csv(const Report& report) {
  std::string text =
      "commit,op,layout,routing,ranks,tokens,hidden,topk,experts,dtype,iterations,median_us,p10_us,"
      "p90_us,max_us,"
      "payload_gbps,wire_gbps,logical_gbps,roof_gbps,roof_share,peak_bytes,verified";
  for (const MpiRival& rival : kMpiRivals) {
    text += fmt::format(",speedup_vs_{}", rival.name);
  }
  text += '\n';
  const Workload& workload = report.options.workload;
  for (const OpResult& result : report.results) {
    const Summary& time = result.time_us;
    // The routing may name a file, and a file's name may hold commas and quotes.
    std::string routing;
    for (const char c : workload.routing) {
      routing.append(c == '"' ? 2 : 1, c);
    }
    fmt::format_to(std::back_inserter(text),
                   "{},{},{},\"{}\",{},{},{},{},{},{},{}",
                   report.commit,
                   result.op,
                   result.layout,
                   routing,
                   workload.num_ranks,
                   result.tokens,
                   workload.hidden,
                   workload.topk,
                   workload.num_experts,
                   row_dtype_name(workload.dtype),
                   result.num_iterations);
    fmt::format_to(std::back_inserter(text),
                   ",{:.3f},{:.3f},{:.3f},{:.3f},{:.4f},{:.4f},{:.4f},{:.4f},{:.4f},{},{}",
                   time.median,
                   time.p10,
                   time.p90,
                   time.max,
                   result.payload_gbps,
                   result.wire_gbps,
                   result.logical_gbps,
                   result.roof_gbps,
                   result.roof_share,
                   result.peak_bytes,
                   result.verified);
    for (const MpiRival& rival : kMpiRivals) {
      const double speedup = result.speedup_vs(rival.name);
      text += speedup > 0.0 ? fmt::format(",{:.3f}", speedup) : ",";
    }
    text += '\n';
  }
  return text;
}

}  // namespace switchyard::bench
