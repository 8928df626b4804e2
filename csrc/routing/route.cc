#include "csrc/routing/route.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "switchyard/error.h"

namespace switchyard::routing {
namespace {

/// Reads top-k entry (token, position) of either index type.
class TopkReader {
 public:
  explicit TopkReader(const ConstTensorView& view)
      : data_(static_cast<const std::byte*>(view.data)),
        wide_(view.dtype == DType::kInt64),
        token_stride_(view.strides[0]),
        position_stride_(view.strides[1]) {}

  [[nodiscard]] std::int64_t operator()(int token, int position) const {
    const std::int64_t index = token * token_stride_ + position * position_stride_;
    return wide_ ? reinterpret_cast<const std::int64_t*>(data_)[index]
                 : reinterpret_cast<const std::int32_t*>(data_)[index];
  }

 private:
  const std::byte* data_;
  bool wide_;
  std::int64_t token_stride_;
  std::int64_t position_stride_;
};

/// Fills a Route token by token. What it must know of the token at hand lies in tables by expert,
/// rank and node, whose entries carry the token's number, so that nothing is searched and nothing
/// cleared.
template <bool kRowPerExpert>
class RouteBuilder {
 public:
  RouteBuilder(const RouteShape& shape, const ExpertMap& map)
      : map_(map),
        num_named_(map.empty() ? shape.num_experts : static_cast<std::int64_t>(map.size())),
        experts_(static_cast<std::size_t>(shape.num_experts)),
        ranks_(static_cast<std::size_t>(shape.num_ranks)),
        nodes_(static_cast<std::size_t>(shape.num_nodes())) {
    const auto num_entries =
        static_cast<std::size_t>(shape.num_tokens) * static_cast<std::size_t>(shape.topk);
    route_.shape = shape;
    route_.row_per_expert = kRowPerExpert;
    route_.expert.resize(num_entries);
    route_.rank.resize(num_entries);
    route_.opener.resize(num_entries);
    route_.ordinal.resize(num_entries);
    route_.terms.resize(num_entries);
    route_.num_terms.resize(static_cast<std::size_t>(shape.num_tokens));
    route_.lost.resize(map_.empty() ? 0 : num_entries);
    route_.rows_per_rank.resize(ranks_.size());
    route_.tokens_per_node.resize(nodes_.size());
    route_.tokens_per_expert.resize(experts_.size());
    for (std::size_t expert = 0; expert < experts_.size(); ++expert) {
      experts_[expert].rank = static_cast<std::int32_t>(expert) / shape.experts_per_rank();
    }
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
      ranks_[rank].node = static_cast<std::int32_t>(rank) / shape.ranks_per_node;
    }
  }

  void add_token(const TopkReader& reader, int token) {
    const std::size_t first =
        static_cast<std::size_t>(token) * static_cast<std::size_t>(route_.shape.topk);
    const Columns columns = columns_at(first);
    bool has_duplicates = false;
    for (int k = 0; k < route_.shape.topk; ++k) {
      const std::int64_t named = reader(token, k);
      if (named < -1 || named >= num_named_) {
        refuse_entry(token, k, named);
      }
      const auto expert = static_cast<std::int32_t>(named);
      has_duplicates |= add_entry(
          columns,
          token,
          static_cast<std::uint8_t>(k),
          map_.empty() ? expert : among_members(first + static_cast<std::size_t>(k), expert));
    }
    route_.has_duplicates = route_.has_duplicates || has_duplicates;
    const std::uint8_t num_terms = order_terms(columns);
    route_.num_terms[static_cast<std::size_t>(token)] = num_terms;
    if (nodes_.size() == 1) {
      route_.tokens_per_node[0] += num_terms > 0 ? 1 : 0;
    }
  }

  Route take() {
    std::transform(experts_.begin(),
                   experts_.end(),
                   route_.tokens_per_expert.begin(),
                   [](const Expert& expert) { return expert.tokens; });
    std::transform(
        ranks_.begin(), ranks_.end(), route_.rows_per_rank.begin(), [](const Rank& rank) {
          return rank.rows;
        });
    return std::move(route_);
  }

 private:
  /// What the current token has with one expert, rank or node.
  struct Seen {
    std::int32_t token = -1;  ///< the token this entry speaks of
    std::uint8_t first = 0;   ///< its first position there
    std::uint8_t last = 0;    ///< its last position so far
  };
  struct Expert : Seen {
    std::int32_t rank = 0;
    std::int32_t tokens = 0;  ///< so far
  };
  struct Rank : Seen {
    std::int32_t node = 0;
    std::int32_t rows = 0;  ///< so far
  };

  /// The entries of one token, by position. Held by value: a store of a byte could change a pointer
  /// in the route itself, for all the compiler knows, and have it read again.
  struct Columns {
    std::int32_t* expert;
    std::int32_t* rank;
    std::uint8_t* opener;
    std::int32_t* ordinal;
    std::uint8_t* terms;
  };
  Columns columns_at(std::size_t first) {
    return {&route_.expert[first],
            &route_.rank[first],
            &route_.opener[first],
            &route_.ordinal[first],
            &route_.terms[first]};
  }

  [[noreturn]] void refuse_entry(int token, int k, std::int64_t expert) const {
    throw InvalidArgument(
        fmt::format("topk_idx[{}][{}]: got {}, wanted an expert in [0, {}) or -1 for none",
                    token,
                    k,
                    expert,
                    num_named_));
  }

  /// The expert's number among those of the members, -1 when it is lost.
  std::int32_t among_members(std::size_t entry, std::int32_t named) {
    const std::int32_t expert = named < 0 ? named : map_[static_cast<std::size_t>(named)];
    route_.lost[entry] = expert == kLostExpert ? 1 : 0;
    return std::max(expert, -1);
  }

  /// Notes position k at `seen`; true when the token is there for the first time. No branches here
  /// and below where the choice is as good as random: a mispredicted one costs more than the rest
  /// of an entry.
  static bool visit(Seen& seen, int token, std::uint8_t k) {
    const bool first_time = seen.token != token;
    seen.first = first_time ? k : seen.first;
    seen.token = token;
    seen.last = k;
    return first_time;
  }

  /// True when the token has named the expert before.
  bool add_entry(Columns entry, int token, std::uint8_t k, std::int32_t expert) {
    entry.expert[k] = expert;
    if (expert < 0) {
      entry.rank[k] = -1;
      entry.opener[k] = kNoOpener;
      entry.ordinal[k] = -1;
      return false;
    }
    Expert& of_expert = experts_[static_cast<std::size_t>(expert)];
    const std::int32_t rank = of_expert.rank;
    Rank& of_rank = ranks_[static_cast<std::size_t>(rank)];
    const bool new_expert = visit(of_expert, token, k);
    const bool new_rank = visit(of_rank, token, k);
    if (nodes_.size() > 1) {
      const auto node = static_cast<std::size_t>(of_rank.node);
      route_.tokens_per_node[node] += visit(nodes_[node], token, k) ? 1 : 0;
    }

    const bool opens = kRowPerExpert ? new_expert : new_rank;
    const std::uint8_t opener = kRowPerExpert ? of_expert.first : of_rank.first;
    const std::int32_t next = kRowPerExpert ? of_expert.tokens : of_rank.rows;
    entry.rank[k] = rank;
    entry.opener[k] = opener;
    entry.ordinal[k] = opens ? next : entry.ordinal[opener];
    of_rank.rows += opens ? 1 : 0;
    of_expert.tokens += new_expert ? 1 : 0;
    return !new_expert;
  }

  /// Writes the opening positions of the token in the contract's order: groups by their rank's last
  /// top-k position, and within a group by position. Returns how many.
  std::uint8_t order_terms(Columns entry) const {
    if constexpr (kRowPerExpert) {
      return order_expert_rows(entry);
    } else {
      return order_rank_rows(entry);
    }
  }

  std::uint8_t order_rank_rows(Columns entry) const {
    std::uint8_t count = 0;
    for (int last = 0; last < route_.shape.topk; ++last) {
      const std::int32_t rank = entry.rank[last];
      const Seen& group = ranks_[static_cast<std::size_t>(std::max(rank, 0))];
      // Overwritten unless this position is the rank's last.
      entry.terms[count] = group.first | kClosesGroup;
      count = static_cast<std::uint8_t>(count + (rank >= 0 && group.last == last ? 1 : 0));
    }
    return count;
  }

  std::uint8_t order_expert_rows(Columns entry) const {
    std::uint8_t count = 0;
    for (int last = 0; last < route_.shape.topk; ++last) {
      const std::int32_t rank = entry.rank[last];
      if (rank < 0 || ranks_[static_cast<std::size_t>(rank)].last != last) {
        continue;
      }
      for (int k = ranks_[static_cast<std::size_t>(rank)].first; k <= last; ++k) {
        entry.terms[count] = static_cast<std::uint8_t>(k);
        const bool is_row = entry.rank[k] == rank && entry.opener[k] == k;
        count = static_cast<std::uint8_t>(count + (is_row ? 1 : 0));
      }
      entry.terms[count - 1] |= kClosesGroup;
    }
    return count;
  }

  const ExpertMap& map_;
  std::int64_t num_named_;  // experts that the caller may name
  std::vector<Expert> experts_;
  std::vector<Rank> ranks_;
  std::vector<Seen> nodes_;
  Route route_;
};

template <bool kRowPerExpert>
Route build_route(const RouteShape& shape, const TopkReader& reader, const ExpertMap& experts) {
  RouteBuilder<kRowPerExpert> builder(shape, experts);
  for (int token = 0; token < shape.num_tokens; ++token) {
    builder.add_token(reader, token);
  }
  return builder.take();
}

}  // namespace

ExpertMap map_experts(std::span<const int> members, int world_ranks, int experts_per_rank) {
  ExpertMap map(static_cast<std::size_t>(world_ranks * experts_per_rank), kLostExpert);
  std::int32_t next = 0;
  for (const int member : members) {
    const auto first = map.begin() + std::ptrdiff_t{member} * experts_per_rank;
    std::iota(first, first + experts_per_rank, next);
    next += experts_per_rank;
  }
  return map;
}

Route make_route(const RouteShape& shape,
                 const ConstTensorView& topk_idx,
                 bool row_per_expert,
                 const ExpertMap& experts) {
  const TopkReader reader(topk_idx);
  return row_per_expert ? build_route<true>(shape, reader, experts)
                        : build_route<false>(shape, reader, experts);
}

std::vector<std::int32_t> tokens_of_rank(const Route& route, int rank) {
  std::vector<std::int32_t> tokens;
  for (int token = 0; token < route.shape.num_tokens; ++token) {
    const auto first = static_cast<std::size_t>(token) * static_cast<std::size_t>(route.shape.topk);
    for (std::size_t k = 0; k < static_cast<std::size_t>(route.shape.topk); ++k) {
      if (route.rank[first + k] == rank) {
        tokens.push_back(token);
        break;
      }
    }
  }
  return tokens;
}

}  // namespace switchyard::routing
