// What the ranks tell the launcher while they run: one JSON document a line.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "benchmarks/cli/case_samples.h"
#include "benchmarks/common/trace_json.h"
#include "switchyard/error.h"

namespace switchyard::bench {

/// Why one rank stopped.
struct RankFailure {
  int rank = 0;
  ErrorCode code = ErrorCode::kInternal;
  std::string message{};
};

/// The ranks' end. Thread-safe; a line is written whole or not at all.
class RankChannel {
 public:
  explicit RankChannel(int output_fd) : output_fd_(output_fd) {}

  /// At most ten a second are sent, so that telling costs nothing.
  void send_progress(double fraction, const std::string& doing);
  void send_failure(const RankFailure& failure);
  /// `by_case[c][r]`: samples of rank r in case c.
  void send_samples(const std::vector<std::vector<nlohmann::json>>& by_case);
  /// A document of pack_trace.
  void send_trace(std::size_t case_idx, const nlohmann::json& packed);

 private:
  void send(const nlohmann::json& message);

  std::mutex mutex_;
  int output_fd_;
  std::chrono::steady_clock::time_point last_progress_;
};

/// The launcher's end.
class RankMessages {
 public:
  using OnProgress = std::function<void(double fraction, const std::string& doing)>;
  explicit RankMessages(OnProgress on_progress) : on_progress_(std::move(on_progress)) {}

  /// Errors: Error of kInternal for a line that no rank writes
  void take(const std::string& line);

  [[nodiscard]] const std::vector<std::vector<CaseSamples>>& samples() const { return samples_; }
  [[nodiscard]] TraceUnpacker take_traces() { return std::move(traces_); }
  /// The failure that tells most: one that is not the mere consequence of another's, else the
  /// first.
  [[nodiscard]] std::optional<RankFailure> failure() const;

 private:
  OnProgress on_progress_;
  std::vector<std::vector<CaseSamples>> samples_;
  TraceUnpacker traces_;
  std::vector<RankFailure> failures_;
};

}  // namespace switchyard::bench
