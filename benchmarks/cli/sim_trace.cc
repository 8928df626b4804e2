#include "benchmarks/cli/sim_trace.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "benchmarks/cli/report.h"
#include "benchmarks/common/trace_events.h"

namespace switchyard::bench {

void write_sim_trace(const sim::WeakMemory& memory, const std::string& path) {
  constexpr std::int64_t kShownNs = 500;  // a store takes no time, which could not be seen
  TraceEvents events;
  for (int rank = 0; rank < static_cast<int>(memory.heaps().control().num_ranks); ++rank) {
    events.name_process(rank, fmt::format("rank {}", rank));
  }
  for (int warp = 0; warp < memory.num_warps(); ++warp) {
    events.name_thread(memory.warp_rank(warp), warp, memory.warp_name(warp));
  }
  for (const sim::MemoryEvent& event : memory.events()) {
    events.add({.process = memory.warp_rank(event.warp),
                .thread = event.warp,
                .name = event.what + std::strspn(event.what, " "),
                .category = "store",
                .begin_ns = static_cast<std::int64_t>(event.at_ns),
                .duration_ns = kShownNs,
                .arguments = {{"at", memory.heaps().name(event.at)},
                              {"value", fmt::format("{:#x}", event.value)}}});
  }
  write_file(path, events.take(nlohmann::ordered_json::object()).dump() + "\n");
}

}  // namespace switchyard::bench
