#include "benchmarks/sim/naive_exchange.h"

#include <algorithm>
#include <map>
#include <utility>

#include "benchmarks/sim/reference_math.h"

namespace switchyard::sim {
namespace {

/// One token of one source.
class Token {
 public:
  Token(const DispatchPlan& plan, int source, int token)
      : plan_(plan),
        source_(plan.sources[static_cast<std::size_t>(source)]),
        first_(static_cast<std::size_t>(token) * static_cast<std::size_t>(plan.topk)),
        experts_per_rank_(plan.num_experts / static_cast<int>(plan.sources.size())) {}

  [[nodiscard]] int expert(int k) const {
    return static_cast<int>(source_.topk_idx[first_ + static_cast<std::size_t>(k)]);
  }
  [[nodiscard]] int rank(int k) const { return expert(k) < 0 ? -1 : expert(k) / experts_per_rank_; }
  [[nodiscard]] int local(int k) const { return expert(k) % experts_per_rank_; }
  [[nodiscard]] float weight(int k) const {
    return source_.topk_weights[first_ + static_cast<std::size_t>(k)];
  }
  /// First position with an expert on `rank` (with that local expert, unless it is -1), or -1.
  [[nodiscard]] int find(int rank_wanted, int local_wanted) const {
    for (int k = 0; k < plan_.topk; ++k) {
      if (rank(k) == rank_wanted && (local_wanted < 0 || local(k) == local_wanted)) {
        return k;
      }
    }
    return -1;
  }
  /// Sum of `weights` over the positions that name the expert of position k.
  [[nodiscard]] float sum_of_expert(int k, const float* weights) const {
    float sum = 0.0F;
    bool first = true;
    for (int j = 0; j < plan_.topk; ++j) {
      if (expert(j) == expert(k)) {
        sum = first ? weights[j] : sum + weights[j];
        first = false;
      }
    }
    return sum;
  }
  [[nodiscard]] const float* weights() const { return source_.topk_weights.data() + first_; }

 private:
  const DispatchPlan& plan_;
  const DispatchPlan::Source& source_;
  std::size_t first_;
  int experts_per_rank_;
};

NaiveRow empty_row(int source, int token, int slot) {
  NaiveRow row;
  row.source = source;
  row.token = token;
  row.slot = slot;
  return row;
}

NaiveRow rank_major_row(const DispatchPlan& plan, int rank, int source, int token) {
  const Token entries(plan, source, token);
  NaiveRow row = empty_row(source, token, entries.find(rank, -1));
  for (int k = 0; k < plan.topk; ++k) {
    const bool here = entries.rank(k) == rank;
    row.topk_idx.push_back(here ? entries.local(k) : -1);
    row.topk_weights.push_back(here && plan.weighted ? entries.weight(k) : 0.0F);
  }
  return row;
}

NaiveRow expert_row(const DispatchPlan& plan, int rank, int source, int token, int local_expert) {
  const Token entries(plan, source, token);
  NaiveRow row = empty_row(source, token, entries.find(rank, local_expert));
  row.topk_idx = {local_expert};
  row.topk_weights = {plan.weighted ? entries.sum_of_expert(row.slot, entries.weights()) : 0.0F};
  return row;
}

/// Collects the rows of one landing in its order.
class Lander {
 public:
  Lander(const DispatchPlan& plan, int rank) : plan_(plan), rank_(rank) {
    const auto ranks = plan.sources.size();
    landing_.rows_from_rank.resize(ranks);
    landing_.rows_per_expert.resize(static_cast<std::size_t>(plan.num_experts) / ranks);
  }

  NaiveLanding run() {
    const auto experts = static_cast<int>(landing_.rows_per_expert.size());
    if (plan_.layout == Layout::kRankMajor) {
      land_rows(-1);
    }
    for (int expert = 0; expert < experts && plan_.layout != Layout::kRankMajor; ++expert) {
      align(plan_.expert_alignment);
      landing_.expert_offsets.push_back(next_);
      land_rows(expert);
    }
    if (plan_.layout != Layout::kRankMajor) {
      align(plan_.expert_alignment);
      landing_.expert_offsets.push_back(next_);
    }
    landing_.num_rows = next_;
    count_experts();
    return std::move(landing_);
  }

 private:
  void align(std::int64_t alignment) {
    while (next_ % alignment != 0) {
      landing_.is_alignment.push_back(true);
      ++next_;
    }
  }

  /// All rows of one local expert, or of the whole rank.
  void land_rows(int local_expert) {
    for (std::size_t source = 0; source < plan_.sources.size(); ++source) {
      const std::int64_t begin = next_;
      for (int token = 0; token < plan_.sources[source].num_tokens; ++token) {
        if (Token(plan_, static_cast<int>(source), token).find(rank_, local_expert) >= 0) {
          land_row(static_cast<int>(source), token, local_expert);
        }
      }
      if (plan_.layout == Layout::kPadded) {
        next_ = begin + plan_.max_tokens;
        landing_.is_alignment.resize(static_cast<std::size_t>(next_), false);
      }
    }
  }

  void land_row(int source, int token, int local_expert) {
    NaiveRow row = local_expert < 0 ? rank_major_row(plan_, rank_, source, token)
                                    : expert_row(plan_, rank_, source, token, local_expert);
    row.row = next_++;
    landing_.is_alignment.push_back(false);
    ++landing_.rows_from_rank[static_cast<std::size_t>(source)];
    for (const std::int64_t local : row.topk_idx) {
      landing_.index[{source, token, static_cast<int>(local)}] = row.row;
    }
    landing_.rows.push_back(std::move(row));
  }

  void count_experts() {
    for (const auto& [key, row] : landing_.index) {
      const int local_expert = std::get<2>(key);
      if (local_expert >= 0) {
        ++landing_.rows_per_expert[static_cast<std::size_t>(local_expert)];
      }
    }
  }

  const DispatchPlan& plan_;
  int rank_;
  std::int64_t next_ = 0;
  NaiveLanding landing_;
};

}  // namespace

NaiveLanding land(const DispatchPlan& plan, int rank) {
  return Lander(plan, rank).run();
}

const NaiveLanding& NaiveExchange::landing(int dispatch, int rank) {
  const std::pair key(dispatch, rank);
  const auto found = landings_.find(key);
  if (found != landings_.end()) {
    return found->second;
  }
  const DispatchPlan& plan = plan_.dispatches[static_cast<std::size_t>(dispatch)];
  return landings_.emplace(key, land(plan, rank)).first->second;
}

const CombineData& NaiveExchange::data(int combine, int rank) {
  const std::pair key(combine, rank);
  const auto found = data_.find(key);
  if (found != data_.end()) {
    return found->second;
  }
  const CombinePlan& plan = plan_.combines[static_cast<std::size_t>(combine)];
  const DispatchPlan& dispatch = dispatch_of(plan);
  const auto rows = static_cast<std::size_t>(landing(plan.dispatch, rank).num_rows);
  const auto tokens =
      static_cast<std::size_t>(dispatch.sources[static_cast<std::size_t>(rank)].num_tokens);
  const auto hidden = static_cast<std::size_t>(dispatch.hidden);
  const auto topk = static_cast<std::size_t>(dispatch.topk);
  const std::size_t entries = dispatch.layout == Layout::kRankMajor ? topk : 1;
  std::mt19937_64 random(plan.data_seed + static_cast<std::uint64_t>(rank));
  CombineData made;
  made.rows = random_rows(random, plan.dtype, rows * hidden);
  made.row_weights = random_floats(random, rows);
  made.row_topk_weights = random_floats(random, rows * entries);
  made.topk_weights = random_floats(random, tokens * topk);
  for (auto& bias : made.biases) {
    bias = random_rows(random, plan.dtype, tokens * hidden);
  }
  return data_.emplace(key, std::move(made)).first->second;
}

/// Nodes in the order of their last position, groups within a node in that of their rank's, and the
/// rows of a group by position.
std::vector<NaiveExchange::Contribution> NaiveExchange::contributions(int combine,
                                                                      int rank,
                                                                      int token) {
  const CombinePlan& plan = plan_.combines[static_cast<std::size_t>(combine)];
  const DispatchPlan& dispatch = dispatch_of(plan);
  const Token entries(dispatch, rank, token);
  std::map<int, int> last_of_rank;
  std::map<int, int> last_of_node;
  for (int k = 0; k < dispatch.topk; ++k) {
    if (entries.rank(k) >= 0) {
      last_of_rank[entries.rank(k)] = k;
      last_of_node[plan_.node_of(entries.rank(k))] = k;
    }
  }
  std::map<std::pair<int, int>, int> groups;
  for (const auto& [holder, last] : last_of_rank) {
    groups[{last_of_node[plan_.node_of(holder)], last}] = holder;
  }
  const bool per_rank = dispatch.layout == Layout::kRankMajor;
  std::vector<Contribution> all;
  for (const auto& [last, holder] : groups) {
    for (int k = 0; k < dispatch.topk; ++k) {
      if (entries.find(holder, per_rank ? -1 : entries.local(k)) != k) {
        continue;
      }
      const std::int64_t row = landing(plan.dispatch, holder).row_of(rank, token, entries.local(k));
      float weight = 1.0F;
      if (plan.weighs_rows) {
        weight = data(combine, holder).row_weights[static_cast<std::size_t>(row)];
      }
      if (plan.weighs_entries) {
        const float* weights = data(combine, rank).topk_weights.data() + token * dispatch.topk;
        weight *= entries.sum_of_expert(k, weights);
      }
      all.push_back({holder, row, weight, false, false});
    }
    all.back().closes_group = true;
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].closes_node =
        i + 1 == all.size() || plan_.node_of(all[i].rank) != plan_.node_of(all[i + 1].rank);
  }
  return all;
}

std::vector<std::byte> NaiveExchange::sums(int combine, int rank) {
  const CombinePlan& plan = plan_.combines[static_cast<std::size_t>(combine)];
  const DispatchPlan& dispatch = dispatch_of(plan);
  const int num_tokens = dispatch.sources[static_cast<std::size_t>(rank)].num_tokens;
  const auto hidden = static_cast<std::size_t>(dispatch.hidden);
  std::vector<std::byte> sums(static_cast<std::size_t>(num_tokens) * hidden *
                              dtype_bytes(plan.dtype));
  for (int token = 0; token < num_tokens; ++token) {
    const std::vector<Contribution> all = contributions(combine, rank, token);
    for (std::size_t i = 0; i < hidden; ++i) {
      const std::size_t at = static_cast<std::size_t>(token) * hidden + i;
      float sum = 0.0F;
      for (int bias = 0; bias < plan.num_biases; ++bias) {
        sum += load_element(plan.dtype, data(combine, rank).biases[bias].data(), at);
      }
      float node = 0.0F;
      float group = 0.0F;
      bool opens = true;
      for (const Contribution& each : all) {
        const std::byte* rows = data(combine, each.rank).rows.data();
        const float product =
            each.weight *
            load_element(plan.dtype, rows, static_cast<std::size_t>(each.row) * hidden + i);
        group = opens ? product : group + product;
        opens = each.closes_group;
        if (each.closes_group) {
          node += wire_round(plan.dtype, group);
        }
        if (plan_.num_nodes == 1 && each.closes_group) {
          sum += std::exchange(node, 0.0F);
        } else if (each.closes_node) {
          sum += wire_round(plan.dtype, std::exchange(node, 0.0F));
        }
      }
      store_element(plan.dtype, sums.data(), at, sum);
    }
  }
  return sums;
}

std::vector<float> NaiveExchange::topk_weight_sums(int combine, int rank) {
  const CombinePlan& plan = plan_.combines[static_cast<std::size_t>(combine)];
  const DispatchPlan& dispatch = dispatch_of(plan);
  const int num_tokens = dispatch.sources[static_cast<std::size_t>(rank)].num_tokens;
  const bool per_rank = dispatch.layout == Layout::kRankMajor;
  std::vector<float> sums;
  for (int token = 0; token < num_tokens; ++token) {
    const Token entries(dispatch, rank, token);
    for (int k = 0; k < dispatch.topk; ++k) {
      float sum = 0.0F;
      float node = 0.0F;
      for (const Contribution& each : contributions(combine, rank, token)) {
        const std::vector<float>& weights = data(combine, each.rank).row_topk_weights;
        const auto row = static_cast<std::size_t>(each.row);
        if (per_rank) {
          node +=
              weights[row * static_cast<std::size_t>(dispatch.topk) + static_cast<std::size_t>(k)];
        } else if (each.rank == entries.rank(k) &&
                   landing(plan.dispatch, each.rank).row_of(rank, token, entries.local(k)) ==
                       each.row) {
          node += weights[row];
        }
        if (each.closes_node) {
          sum += std::exchange(node, 0.0F);
        }
      }
      sums.push_back(sum);
    }
  }
  return sums;
}

}  // namespace switchyard::sim
