// What one rank measured in one case, how the ranks bring it together, and what becomes of it: one
// result per operation.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/cli/case_plan.h"
#include "benchmarks/cli/statistics.h"
#include "switchyard/bootstrap.h"

namespace switchyard::bench {

/// One operation on one rank.
struct OpSamples {
  TimedRuns own{};  ///< timed iterations
  TimedRuns roof_streaming{};
  TimedRuns roof_memcpy{};
  std::uint64_t peak_bytes = 0;  ///< of this rank: highest use of its heap, and its private memory
  std::int64_t rows_checked = 0;
  std::string first_mismatch{};  ///< empty: every byte was right
};

struct CaseSamples {
  OpSamples dispatch{};
  OpSamples combine{};
  // What the automatic settings became.
  int num_workers = 0;
  int num_channels = 0;
  std::uint64_t heap_bytes = 0;
  int num_sms = 0;  ///< of this rank; 0 on the host
  int device = -1;  ///< of RankDevice::index; -1 on the host
  /// Read and written together, by the rank that leads its device; empty elsewhere.
  std::vector<double> copy_gbps{};
  // Of the companion, by rank 0.
  std::vector<double> companion_alone_us{};
  std::vector<double> companion_beside_us{};
};

/// Adds what the same rank measured in another run of the same case.
void append(CaseSamples& samples, const CaseSamples& more);

nlohmann::json to_json(const CaseSamples& samples);
CaseSamples case_samples_from_json(const nlohmann::json& json);

/// Brings one document of every rank to every rank. Collective.
std::vector<nlohmann::json> gather_json(Bootstrap& bootstrap, const nlohmann::json& mine);

/// A rival in the same case and operation.
struct RivalMedian {
  std::string name{};
  double median_us = 0.0;
};

/// One line of the report. GB = 1e9 bytes; rates are per rank: bytes averaged over the ranks, time
/// of the slowest.
struct OpResult {
  std::string op{};  ///< "dispatch" or "combine"
  std::string layout{};
  int tokens = 0;
  int num_iterations = 0;
  int num_workers = 0;  ///< of rank 0, as the next two
  int num_channels = 0;
  std::uint64_t heap_bytes = 0;
  Summary time_us{};
  double payload_bytes = 0.0;  ///< per rank
  double payload_gbps = 0.0;
  double wire_gbps = 0.0;
  double logical_gbps = 0.0;
  double roof_us = 0.0;              ///< median, fastest way of copying
  double roof_gbps = 0.0;            ///< payload
  double roof_share = 0.0;           ///< roof_us / time_us.median
  int num_sms = 0;                   ///< of each rank; 0 on the host
  double gbps_per_sm = 0.0;          ///< payload_gbps / num_sms
  double copy_gbps = 0.0;            ///< of the device: read and written together, median
  double companion_alone_us = 0.0;   ///< medians; 0 without a companion
  double companion_beside_us = 0.0;  ///< while these operations ran
  std::uint64_t peak_bytes = 0;      ///< of the rank with the most
  std::int64_t rows_checked = 0;
  bool verified = false;
  std::string first_mismatch{};
  std::vector<RivalMedian> rivals{};  ///< those that were measured

  /// Of the rival's median to this one's; 0 when there is no such rival.
  [[nodiscard]] double speedup_vs(std::string_view rival) const;
};

/// The dispatch and the combine of one case, from the samples of all ranks.
std::vector<OpResult> results_of(const CasePlan& plan, const std::vector<CaseSamples>& by_rank);

}  // namespace switchyard::bench
