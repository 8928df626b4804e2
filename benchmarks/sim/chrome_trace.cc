#include "benchmarks/sim/chrome_trace.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "switchyard/error.h"

namespace switchyard::sim {
namespace {

/// Names of warps and places hold no character that JSON escapes.
std::string name_event(const char* kind, int rank, int warp, const std::string& name) {
  return fmt::format(R"({{"ph":"M","name":"{}","pid":{},"tid":{},"args":{{"name":"{}"}}}})",
                     kind,
                     rank,
                     warp,
                     name);
}

}  // namespace

void write_chrome_trace(const WeakMemory& memory, const std::string& path) {
  constexpr std::uint64_t kShownNs = 500;
  std::string text = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
  for (int rank = 0; rank < static_cast<int>(memory.heaps().control().num_ranks); ++rank) {
    text += name_event("process_name", rank, 0, fmt::format("rank {}", rank)) + ",\n";
  }
  for (int warp = 0; warp < memory.num_warps(); ++warp) {
    text += name_event("thread_name", memory.warp_rank(warp), warp, memory.warp_name(warp)) + ",\n";
  }
  for (const MemoryEvent& event : memory.events()) {
    const char* what = event.what + std::strspn(event.what, " ");
    fmt::format_to(std::back_inserter(text),
                   R"({{"ph":"X","name":"{}","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f},)"
                   R"("args":{{"at":"{}","value":"{:#x}"}}}},)"
                   "\n",
                   what,
                   memory.warp_rank(event.warp),
                   event.warp,
                   static_cast<double>(event.at_ns) * 1e-3,
                   static_cast<double>(kShownNs) * 1e-3,
                   memory.heaps().name(event.at),
                   event.value);
  }
  text.erase(text.size() - 2);  // the last comma
  text += "\n]}\n";
  std::ofstream file(path, std::ios::binary);
  file << text << std::flush;
  if (!file) {
    const int error = errno;
    throw SystemError(error,
                      fmt::format("cannot write the trace {}: {}", path, std::strerror(error)));
  }
}

}  // namespace switchyard::sim
