// Which of this rank's tokens go to which rank, from its top-k choices: the work every framework
// does before it packs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "benchmarks/common/routing_source.h"
#include "benchmarks/common/workload.h"

namespace switchyard::bench {

/// One rank that gets a token.
struct Destination {
  int rank = 0;
  int ordinal = 0;  ///< its place among this source's rows for that rank
};

/// Remade by every dispatch, without taking memory after the first.
class SendPlan {
 public:
  /// Reads topk_idx. A token goes once to each rank that holds one of its experts.
  void make(const Workload& workload, const RankRouting& routing);

  /// In the order in which a combine adds: ranks by the token's last top-k position on them.
  [[nodiscard]] std::span<const Destination> destinations(int token) const {
    const std::size_t first = first_[static_cast<std::size_t>(token)];
    return {destinations_.data() + first, first_[static_cast<std::size_t>(token) + 1] - first};
  }
  /// Rows for each rank, this one too: [num_ranks].
  [[nodiscard]] std::span<const int> counts() const { return counts_; }

 private:
  std::vector<Destination> destinations_;
  std::vector<std::size_t> first_;  // [num_tokens + 1]
  std::vector<int> counts_;
};

}  // namespace switchyard::bench
