#include "benchmarks/common/routing_source.h"

#include <fmt/format.h>

#include <numeric>
#include <string_view>

#include "benchmarks/common/gates.h"
#include "benchmarks/common/random_bits.h"
#include "benchmarks/common/trace_file.h"

namespace switchyard::bench {

namespace {

constexpr std::string_view kFilePrefix = "file:";

bool is_trace(const Workload& workload) {
  return workload.routing.starts_with(kFilePrefix);
}

std::string trace_path(const Workload& workload) {
  return workload.routing.substr(kFilePrefix.size());
}

RankRouting empty_routing(const Workload& workload) {
  const auto num_entries =
      static_cast<std::size_t>(workload.tokens) * static_cast<std::size_t>(workload.topk);
  return {workload.tokens,
          workload.topk,
          std::vector<std::int64_t>(num_entries),
          std::vector<float>(num_entries),
          {}};
}

// The scores of a token's experts as shares of one.
void store_weights(std::span<const std::int64_t> experts,
                   std::span<const double> scores,
                   std::span<float> weights) {
  double sum = 0.0;
  for (std::size_t k = 0; k < experts.size(); ++k) {
    sum += experts[k] >= 0 ? scores[k] : 0.0;
  }
  for (std::size_t k = 0; k < experts.size(); ++k) {
    weights[k] = experts[k] >= 0 ? static_cast<float>(scores[k] / sum) : 0.0F;
  }
}

template <class PickExperts>
RankRouting route_tokens(const Workload& workload, int rank, PickExperts pick_experts) {
  RankRouting routing = empty_routing(workload);
  RandomBits random(workload.seed, static_cast<std::uint64_t>(rank));
  const auto topk = static_cast<std::size_t>(workload.topk);
  std::vector<double> scores(topk);
  for (std::size_t token = 0; token < static_cast<std::size_t>(workload.tokens); ++token) {
    const std::span experts = std::span(routing.topk_idx).subspan(token * topk, topk);
    pick_experts(random, TokenChoice{experts, scores});
    store_weights(experts, scores, std::span(routing.topk_weights).subspan(token * topk, topk));
  }
  return routing;
}

RankRouting route_from_trace(const Workload& workload, int rank, const RecordedRouting& trace) {
  std::int64_t row = std::int64_t{rank} * workload.tokens;
  RankRouting routing =
      route_tokens(workload, rank, [&](RandomBits& random, const TokenChoice& choice) {
        const auto first = static_cast<std::size_t>(row % trace.num_rows) * choice.experts.size();
        ++row;
        for (std::size_t k = 0; k < choice.experts.size(); ++k) {
          choice.experts[k] = trace.topk_idx[first + k];
          choice.scores[k] = 1.0 - random.unit();
        }
      });
  const std::int64_t wanted = std::int64_t{workload.num_ranks} * workload.tokens;
  if (trace.num_rows < wanted) {
    routing.notice = fmt::format(
        "routing file \"{}\" has {} rows; {} ranks x {} tokens need {}: it starts again from its "
        "first row",
        trace_path(workload),
        trace.num_rows,
        workload.num_ranks,
        workload.tokens,
        wanted);
  }
  return routing;
}

}  // namespace

RankRouting make_routing(const Workload& workload, int rank) {
  if (is_trace(workload)) {
    return route_from_trace(workload, rank, read_trace(trace_path(workload), workload));
  }
  return route_tokens(workload, rank, make_gate(workload, workload.routing));
}

std::vector<RankRouting> make_all_routing(const Workload& workload) {
  std::vector<RankRouting> all;
  all.reserve(static_cast<std::size_t>(workload.num_ranks));
  if (!is_trace(workload)) {
    for (int rank = 0; rank < workload.num_ranks; ++rank) {
      all.push_back(make_routing(workload, rank));
    }
    return all;
  }
  const RecordedRouting trace = read_trace(trace_path(workload), workload);
  for (int rank = 0; rank < workload.num_ranks; ++rank) {
    all.push_back(route_from_trace(workload, rank, trace));
  }
  return all;
}

std::string routing_help() {
  return "uniform               distinct experts, all alike\n"
         "grouped[:<g>,<k>]     DeepSeek's node-limited gate: the best k of g groups (4 of 8)\n"
         "zipf:<s>              skewed: the i-th expert drawn with probability ~ 1/i^s\n"
         "masked[:<p>]          uniform with each entry absent with probability p (0.25)\n"
         "file:<path.npy>       a recorded [tokens, topk] trace, int32 or int64";
}

}  // namespace switchyard::bench
