#include "benchmarks/mpi/send_plan.h"

#include <algorithm>

namespace switchyard::bench {

void SendPlan::make(const Workload& workload, const RankRouting& routing) {
  const auto topk = static_cast<std::size_t>(routing.topk);
  destinations_.clear();
  first_.assign(1, 0);
  counts_.assign(static_cast<std::size_t>(workload.num_ranks), 0);
  for (std::size_t token = 0; token < static_cast<std::size_t>(routing.num_tokens); ++token) {
    const std::int64_t* experts = routing.topk_idx.data() + token * topk;
    const std::size_t first = destinations_.size();
    // From the last position back: the first sight of a rank is its last position.
    for (std::size_t k = topk; k-- > 0;) {
      if (experts[k] < 0) {
        continue;
      }
      const int rank = workload.rank_of_expert(experts[k]);
      const auto known = std::find_if(destinations_.begin() + static_cast<std::ptrdiff_t>(first),
                                      destinations_.end(),
                                      [&](const Destination& other) { return other.rank == rank; });
      if (known == destinations_.end()) {
        destinations_.push_back({rank, counts_[static_cast<std::size_t>(rank)]++});
      }
    }
    std::reverse(destinations_.begin() + static_cast<std::ptrdiff_t>(first), destinations_.end());
    first_.push_back(destinations_.size());
  }
}

}  // namespace switchyard::bench
