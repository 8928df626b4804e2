#include "csrc/routing/route.h"

#include <fmt/format.h>

#include <array>

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

/// Copies the indices of one token, checked; `experts` receives K values.
void read_token(const TopkReader& reader,
                const RouteShape& shape,
                int token,
                std::int32_t* experts) {
  for (int k = 0; k < shape.topk; ++k) {
    const std::int64_t expert = reader(token, k);
    if (expert < -1 || expert >= shape.num_experts) {
      throw InvalidArgument(
          fmt::format("topk_idx[{}][{}]: got {}, wanted an expert in [0, {}) or -1 for none",
                      token,
                      k,
                      expert,
                      shape.num_experts));
    }
    experts[k] = static_cast<std::int32_t>(expert);
  }
}

/// The entries of one token, with what later steps ask of them.
struct TokenEntries {
  std::array<std::int32_t, kMaxTopk> rank{};          ///< destination rank, -1 for none
  std::array<std::uint8_t, kMaxTopk> last_of_rank{};  ///< last position of the entry's rank
};

TokenEntries scan_token(const RouteShape& shape, const std::int32_t* experts) {
  TokenEntries entries;
  const int experts_per_rank = shape.experts_per_rank();
  for (std::size_t k = 0; k < static_cast<std::size_t>(shape.topk); ++k) {
    entries.rank[k] = experts[k] < 0 ? -1 : experts[k] / experts_per_rank;
    for (std::size_t j = 0; j <= k; ++j) {
      if (entries.rank[j] == entries.rank[k]) {
        entries.last_of_rank[j] = static_cast<std::uint8_t>(k);
      }
    }
  }
  return entries;
}

/// Fills opener for one token; returns true when an expert is named twice.
bool find_openers(const RouteShape& shape,
                  bool row_per_expert,
                  const std::int32_t* experts,
                  const TokenEntries& entries,
                  std::uint8_t* opener) {
  bool duplicates = false;
  for (int k = 0; k < shape.topk; ++k) {
    opener[k] = kNoOpener;
    if (experts[k] < 0) {
      continue;
    }
    opener[k] = static_cast<std::uint8_t>(k);
    for (int j = k - 1; j >= 0; --j) {
      const bool same_expert = experts[j] == experts[k];
      duplicates = duplicates || same_expert;
      const bool same_rank =
          entries.rank[static_cast<std::size_t>(j)] == entries.rank[static_cast<std::size_t>(k)];
      if (row_per_expert ? same_expert : same_rank) {
        opener[k] = opener[j];
      }
    }
  }
  return duplicates;
}

/// Counts one token, and gives each of its entries the ordinal of its row.
void count_token(Route& route, const TokenEntries& entries, std::size_t first) {
  const auto topk = static_cast<std::size_t>(route.shape.topk);
  for (std::size_t k = 0; k < topk; ++k) {
    const std::int32_t expert = route.expert[first + k];
    if (expert < 0) {
      continue;
    }
    const auto rank = static_cast<std::size_t>(entries.rank[k]);
    bool new_expert = true;
    bool new_node = true;
    const int node = static_cast<int>(rank) / route.shape.ranks_per_node;
    for (std::size_t j = 0; j < k; ++j) {
      new_expert = new_expert && route.expert[first + j] != expert;
      new_node =
          new_node && (entries.rank[j] < 0 || entries.rank[j] / route.shape.ranks_per_node != node);
    }
    auto& per_expert = route.tokens_per_expert[static_cast<std::size_t>(expert)];
    auto& per_rank = route.rows_per_rank[rank];
    if (route.opener[first + k] == k) {
      route.ordinal[first + k] = route.row_per_expert ? per_expert : per_rank;
      ++per_rank;
    } else {
      route.ordinal[first + k] = route.ordinal[first + route.opener[first + k]];
    }
    per_expert += new_expert ? 1 : 0;
    route.tokens_per_node[static_cast<std::size_t>(node)] += new_node ? 1 : 0;
  }
}

/// Writes the opening positions of one token in the contract's order: groups by their rank's last
/// top-k position, and within a group by position. Returns how many.
std::uint8_t order_terms(const RouteShape& shape,
                         const TokenEntries& entries,
                         const std::uint8_t* opener,
                         std::uint8_t* terms) {
  std::uint8_t count = 0;
  for (std::size_t last = 0; last < static_cast<std::size_t>(shape.topk); ++last) {
    if (entries.rank[last] < 0 || entries.last_of_rank[last] != last) {
      continue;
    }
    for (std::size_t k = 0; k <= last; ++k) {
      if (entries.rank[k] == entries.rank[last] && opener[k] == k) {
        terms[count++] = static_cast<std::uint8_t>(k);
      }
    }
    terms[count - 1] |= kClosesGroup;
  }
  return count;
}

}  // namespace

Route make_route(const RouteShape& shape, const ConstTensorView& topk_idx, bool row_per_expert) {
  Route route;
  route.shape = shape;
  route.row_per_expert = row_per_expert;
  const auto num_entries =
      static_cast<std::size_t>(shape.num_tokens) * static_cast<std::size_t>(shape.topk);
  route.expert.resize(num_entries);
  route.opener.resize(num_entries);
  route.ordinal.assign(num_entries, -1);
  route.terms.resize(num_entries);
  route.num_terms.resize(static_cast<std::size_t>(shape.num_tokens));
  route.rows_per_rank.assign(static_cast<std::size_t>(shape.num_ranks), 0);
  route.tokens_per_node.assign(static_cast<std::size_t>(shape.num_nodes()), 0);
  route.tokens_per_expert.assign(static_cast<std::size_t>(shape.num_experts), 0);

  const TopkReader reader(topk_idx);
  for (int token = 0; token < shape.num_tokens; ++token) {
    const auto first = static_cast<std::size_t>(token) * static_cast<std::size_t>(shape.topk);
    read_token(reader, shape, token, &route.expert[first]);
    const TokenEntries entries = scan_token(shape, &route.expert[first]);
    if (find_openers(shape, row_per_expert, &route.expert[first], entries, &route.opener[first])) {
      route.has_duplicates = true;
    }
    count_token(route, entries, first);
    route.num_terms[static_cast<std::size_t>(token)] =
        order_terms(shape, entries, &route.opener[first], &route.terms[first]);
  }
  return route;
}

std::vector<std::int32_t> tokens_of_rank(const Route& route, int rank) {
  std::vector<std::int32_t> tokens;
  const int experts_per_rank = route.shape.experts_per_rank();
  for (int token = 0; token < route.shape.num_tokens; ++token) {
    const auto first = static_cast<std::size_t>(token) * static_cast<std::size_t>(route.shape.topk);
    for (std::size_t k = 0; k < static_cast<std::size_t>(route.shape.topk); ++k) {
      const std::int32_t expert = route.expert[first + k];
      if (expert >= 0 && expert / experts_per_rank == rank) {
        tokens.push_back(token);
        break;
      }
    }
  }
  return tokens;
}

}  // namespace switchyard::routing
