// One measured case (a layout at a message size): its workload, the routing of all ranks, the bytes
// it moves and the heap it needs. Computed by the launcher before it forks, so that ranks share the
// pages.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/common/routing_source.h"
#include "benchmarks/common/workload.h"

namespace switchyard::bench {

/// For progress: "padded, 128 tokens".
std::string case_name(const Workload& workload);

/// Bytes of one operation, summed over all ranks.
struct MovedBytes {
  std::int64_t payload = 0;  ///< rows alone, those that stay on their rank included
  std::int64_t wire = 0;     ///< rows that leave their rank, with scales and metadata
  std::int64_t logical = 0;  ///< all rows, with scales and metadata
  std::int64_t memory = 0;   ///< every row read once and every row or sum written once, alone
};

struct CasePlan {
  Workload workload{};
  std::shared_ptr<const std::vector<RankRouting>> routing;  ///< of every rank
  MovedBytes dispatch{};
  MovedBytes combine{};
  std::int64_t most_landed_rows = 0;  ///< of the busiest rank, padding included
  double ranks_per_token = 0.0;       ///< distinct destinations of a token, on average
  std::uint64_t heap_bytes = 0;       ///< of each rank's buffer
};

/// One plan for each layout and each number of tokens, in that order of nesting.
/// Errors: InvalidArgument for a bad routing specification or trace
std::vector<CasePlan> plan_cases(const BenchOptions& options);

/// Memory that all ranks of this machine hold at once, at most, while the case runs.
std::uint64_t machine_bytes(const CasePlan& plan);

/// Two looks at the memory of all ranks: before planning (planning itself takes memory in
/// proportion to the tokens), and exactly, after it.
/// Errors: InvalidArgument when the largest case needs more than `available_bytes`, with both and
///         what to lower
void check_memory(const BenchOptions& options, std::uint64_t available_bytes);
void check_memory(const std::vector<CasePlan>& plans, std::uint64_t available_bytes);

}  // namespace switchyard::bench
