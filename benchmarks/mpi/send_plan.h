// Which of this rank's tokens go to which rank, from its top-k choices: the work every framework
// does before it packs. What the two rivals send differs here, and nearly only here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "benchmarks/common/routing_source.h"
#include "benchmarks/common/workload.h"
#include "switchyard/layout.h"

namespace switchyard::bench {

enum class Plan : std::uint8_t {
  kPlain,  ///< what one writes first: every row of the layout is packed and sent, those for this
           ///< rank too, and every expert's row comes back
  kDedup,  ///< the strongest we know: a token goes once to each rank, what stays on its rank is not
           ///< packed, and rows of a token's experts are summed before they return
};

/// Errors: InvalidArgument listing the names
Plan parse_plan(std::string_view name);  // plain | dedup
std::string_view plan_name(Plan plan);

/// One row that a token sends.
struct Destination {
  int rank = 0;
  int ordinal = 0;           ///< its place among this source's rows for that rank
  std::int64_t expert = -1;  ///< the row's only one when rows are sent per expert, else -1
  float weight = 1.0F;       ///< likewise: the sum of the token's entries for the expert
};

/// Remade by every dispatch, without taking memory after the first.
class SendPlan {
 public:
  SendPlan(Plan plan, Layout layout)
      : per_expert_(plan == Plan::kPlain && layout != Layout::kRankMajor),
        sends_own_(plan == Plan::kPlain) {}

  /// Reads topk_idx, and topk_weights when rows are sent per expert.
  void make(const Workload& workload, const RankRouting& routing);

  /// A row for each distinct (token, expert); else one for each (token, rank).
  [[nodiscard]] bool per_expert() const { return per_expert_; }
  /// Rows for this rank travel as all others do.
  [[nodiscard]] bool sends_own() const { return sends_own_; }

  /// In the order in which a combine adds: ranks by the token's last top-k position on them,
  /// experts of one rank in top-k order.
  [[nodiscard]] std::span<const Destination> destinations(int token) const {
    const std::size_t first = first_[static_cast<std::size_t>(token)];
    return {destinations_.data() + first, first_[static_cast<std::size_t>(token) + 1] - first};
  }
  /// Rows for each rank, this one too: [num_ranks].
  [[nodiscard]] std::span<const int> counts() const { return counts_; }

 private:
  void find_ranks(const Workload& workload, std::span<const std::int64_t> experts);
  void add_experts(int rank, std::span<const std::int64_t> experts, const float* weights);
  int next_ordinal(int rank) { return counts_[static_cast<std::size_t>(rank)]++; }

  bool per_expert_;
  bool sends_own_;
  std::vector<Destination> destinations_;
  std::vector<std::size_t> first_;  // [num_tokens + 1]
  std::vector<int> counts_;
  // Of the token at hand.
  std::vector<int> ranks_;                     // in the order of the sum
  std::array<int, kMaxTopk> rank_of_entry_{};  // -1 where there is no expert
};

}  // namespace switchyard::bench
