// From the top-k choices of one rank to who goes where: counts, the place of each row among its
// source's rows, the order of summation. Pure functions of their arguments; where rows begin at a
// destination is placement.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "csrc/routing/entry_codes.h"
#include "switchyard/layout.h"
#include "switchyard/tensor.h"

namespace switchyard::routing {

struct RouteShape {
  int num_tokens = 0;
  int topk = 0;
  int num_experts = 0;
  int num_ranks = 1;
  int ranks_per_node = 1;

  /// Of these ranks only, numbered among themselves.
  [[nodiscard]] int experts_per_rank() const { return num_experts / num_ranks; }
  [[nodiscard]] int num_nodes() const { return num_ranks / ranks_per_node; }
};

/// One rank's tokens as a source. T = num_tokens, K = topk, entries [T][K] row-major.
/// A row is (token, rank) in rank-major layout, (token, expert) in the others; an entry *opens* the
/// row that it is the first of its token to need, and later entries with the same row share it.
struct Route {
  RouteShape shape;
  bool row_per_expert = false;
  bool has_duplicates = false;  ///< some token names an expert twice

  std::vector<std::int32_t> expert;  ///< [T][K] global expert, -1 for none
  std::vector<std::int32_t> rank;    ///< [T][K] the rank it lives on, -1 for none
  std::vector<std::uint8_t>
      opener;  ///< [T][K] position of the entry that opens the row; kNoOpener for none
  std::vector<std::int32_t>
      ordinal;  ///< [T][K] the row's place among this source's rows of its rank (or expert)
  std::vector<std::uint8_t>
      terms;  ///< [T][K] opening positions in the contract's order of summation
  std::vector<std::uint8_t> num_terms;  ///< [T] rows of each token
  /// [T][K] 1 where the caller named an expert of a rank that is no member, routed as none; empty
  /// when all are members.
  std::vector<std::uint8_t> lost;

  std::vector<std::int32_t> rows_per_rank;    ///< [num_ranks]
  std::vector<std::int32_t> tokens_per_node;  ///< [num_nodes] tokens with at least one expert there
  std::vector<std::int32_t>
      tokens_per_expert;  ///< [num_experts] each token once, however often it names the expert
};

/// Where the experts of a world are whose ranks are not all members: element e is the number of
/// expert e among those of the members, or kLostExpert. Empty: every expert keeps its number.
using ExpertMap = std::vector<std::int32_t>;
inline constexpr std::int32_t kLostExpert = -2;

/// Shapes: members [num_ranks], ascending; the map [world_ranks * experts_per_rank]
ExpertMap map_experts(std::span<const int> members, int world_ranks, int experts_per_rank);

/// Reads top-k indices [T, K] (int32 or int64, any strides) and derives the route.
/// Errors: InvalidArgument naming token and position when an index is outside [-1, num_experts), or
///         outside the map
Route make_route(const RouteShape& shape,
                 const ConstTensorView& topk_idx,
                 bool row_per_expert,
                 const ExpertMap& experts = {});

/// Tokens with at least one expert on `rank`, ascending.
std::vector<std::int32_t> tokens_of_rank(const Route& route, int rank);

}  // namespace switchyard::routing
