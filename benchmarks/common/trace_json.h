// Traces as files: the Trace Event Format that Perfetto and chrome://tracing open, and a compact
// form in which ranks hand theirs on.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "switchyard/trace.h"

namespace switchyard::bench {

/// The traces of all ranks from one buffer.
struct TracedCase {
  std::string name;  ///< "rank-major, 1024 tokens"
  std::vector<Trace> traces;
};

/// One process for each rank, one track for each role and channel (a second one where operations
/// overlap); on it a slice for each operation, and inside of that the role's steps and waits. Times
/// in us, from the first event of all.
nlohmann::ordered_json to_perfetto(const std::vector<TracedCase>& cases);

/// Compact documents of at most `max_events` events each, at least one of them.
std::vector<nlohmann::json> pack_trace(const Trace& trace, std::size_t max_events);

/// Puts packed documents together again and owns the names in the events.
class TraceUnpacker {
 public:
  /// Adds the document to the trace of its rank in case `case_idx`.
  /// Errors: nlohmann::json::exception for what pack_trace does not write
  void take(std::size_t case_idx, const nlohmann::json& packed);

  /// By case, then in order of ranks; one that sent nothing is missing. Lifetime: names live as
  /// long as this object
  [[nodiscard]] const std::vector<std::vector<Trace>>& by_case() const { return by_case_; }

  TraceUnpacker() = default;
  TraceUnpacker(TraceUnpacker&&) noexcept = default;  // names stay where they are
  TraceUnpacker& operator=(TraceUnpacker&&) noexcept = default;
  TraceUnpacker(const TraceUnpacker&) = delete;
  TraceUnpacker& operator=(const TraceUnpacker&) = delete;
  ~TraceUnpacker() = default;

 private:
  const char* keep(const std::string& name) { return names_.insert(name).first->c_str(); }

  std::set<std::string> names_;
  std::vector<std::vector<Trace>> by_case_;
};

}  // namespace switchyard::bench
