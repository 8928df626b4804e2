#include "benchmarks/mpi/send_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "switchyard/error.h"

namespace switchyard::bench {

Plan parse_plan(std::string_view name) {
  for (const Plan known : {Plan::kPlain, Plan::kDedup}) {
    if (name == plan_name(known)) {
      return known;
    }
  }
  throw InvalidArgument(fmt::format("plan: got \"{}\", wanted plain or dedup", name));
}

std::string_view plan_name(Plan plan) {
  return plan == Plan::kPlain ? "plain" : "dedup";
}

void SendPlan::make(const Workload& workload, const RankRouting& routing) {
  const auto topk = static_cast<std::size_t>(routing.topk);
  destinations_.clear();
  first_.assign(1, 0);
  counts_.assign(static_cast<std::size_t>(workload.num_ranks), 0);
  for (std::size_t token = 0; token < static_cast<std::size_t>(routing.num_tokens); ++token) {
    const auto experts = std::span(routing.topk_idx).subspan(token * topk, topk);
    find_ranks(workload, experts);
    for (const int rank : ranks_) {
      if (per_expert_) {
        add_experts(rank, experts, routing.topk_weights.data() + token * topk);
      } else {
        destinations_.push_back({.rank = rank, .ordinal = next_ordinal(rank)});
      }
    }
    first_.push_back(destinations_.size());
  }
}

void SendPlan::find_ranks(const Workload& workload, std::span<const std::int64_t> experts) {
  ranks_.clear();
  // From the last position back: the first sight of a rank is its last position.
  for (std::size_t k = experts.size(); k-- > 0;) {
    const int rank = experts[k] < 0 ? -1 : workload.rank_of_expert(experts[k]);
    rank_of_entry_[k] = rank;
    if (rank >= 0 && std::find(ranks_.begin(), ranks_.end(), rank) == ranks_.end()) {
      ranks_.push_back(rank);
    }
  }
  std::reverse(ranks_.begin(), ranks_.end());
}

void SendPlan::add_experts(int rank, std::span<const std::int64_t> experts, const float* weights) {
  const std::size_t first = destinations_.size();
  for (std::size_t k = 0; k < experts.size(); ++k) {
    if (rank_of_entry_[k] != rank) {
      continue;
    }
    const auto known =
        std::find_if(destinations_.begin() + static_cast<std::ptrdiff_t>(first),
                     destinations_.end(),
                     [&](const Destination& other) { return other.expert == experts[k]; });
    if (known != destinations_.end()) {
      known->weight += weights[k];
    } else {
      destinations_.push_back({rank, next_ordinal(rank), experts[k], weights[k]});
    }
  }
}

}  // namespace switchyard::bench
