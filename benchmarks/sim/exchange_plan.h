// What a group does in one run of the interleaving test: a sequence of dispatches and combines with
// all their inputs, drawn from a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "switchyard/dtype.h"
#include "switchyard/layout.h"

namespace switchyard::sim {

/// One dispatch: everything but tokens and data agrees on all ranks.
struct DispatchPlan {
  Layout layout = Layout::kRankMajor;
  int topk = 1;
  int num_experts = 1;
  int hidden = 8;
  DType dtype = DType::kBf16;
  DType index_dtype = DType::kInt32;
  Quantize quantize = Quantize::kNone;
  bool carries_scales = false;
  bool weighted = false;
  int max_tokens = 0;
  int expert_alignment = 1;
  bool zero_padding = false;
  int follows = -1;     ///< dispatch along the handle of an earlier one, with new rows
  int refused_by = -1;  ///< this rank's caller gives too little memory: all ranks must fail

  /// By rank.
  struct Source {
    int num_tokens = 0;
    std::vector<std::int64_t> topk_idx;  ///< [num_tokens][topk]
    std::vector<float> topk_weights;
    std::vector<std::byte> x;  ///< [num_tokens][hidden]
    std::vector<std::uint32_t> scales;
    bool caller_output = false;  ///< lands in the caller's memory
  };
  std::vector<Source> sources;

  [[nodiscard]] std::size_t row_bytes() const {
    return static_cast<std::size_t>(hidden) * dtype_bytes(dtype);
  }
  [[nodiscard]] DType landed_dtype() const {
    return quantize == Quantize::kNone ? dtype : DType::kFp8E4m3;
  }
  [[nodiscard]] std::size_t landed_row_bytes() const {
    return static_cast<std::size_t>(hidden) * dtype_bytes(landed_dtype());
  }
  /// 32-bit words of a row's scales.
  [[nodiscard]] int scale_words() const;
  [[nodiscard]] std::string describe() const;
};

/// Where a rank keeps its expert outputs.
enum class ExpertRows : std::uint8_t {
  kOverLandedRows,  ///< in the region of the dispatch
  kInHeap,          ///< in a region of their own
  kPrivate,         ///< outside the heap: copied in
};

struct CombinePlan {
  int dispatch = 0;
  DType dtype = DType::kBf16;
  bool weighs_rows = false;
  bool weighs_entries = false;
  bool sums_topk_weights = false;
  int num_biases = 0;
  std::vector<ExpertRows> expert_rows;  ///< by rank
  std::vector<bool> caller_output;      ///< by rank
  std::uint64_t data_seed = 0;          ///< of expert outputs, weights, biases

  [[nodiscard]] std::string describe() const;
};

struct PlannedOperation {
  bool is_dispatch = true;
  int index = 0;  ///< in dispatches or combines
};

struct ExchangePlan {
  int num_ranks = 2;  ///< of all nodes
  int num_nodes = 1;
  int num_channels = 1;
  int max_in_flight = 1;
  int chunk_tokens = 1;
  int max_tokens = 7;  ///< of a rank and dispatch
  int max_topk = 5;
  int max_experts_per_rank = 3;
  bool wide_rows = false;  ///< of up to 4800 elements, larger than a GPU's stages
  ExpertCopies expert_copies = ExpertCopies::kBySender;
  std::vector<DispatchPlan> dispatches;
  std::vector<CombinePlan> combines;
  std::vector<PlannedOperation> operations;  ///< in the order in which every rank issues them

  [[nodiscard]] int node_of(int rank) const { return rank / (num_ranks / num_nodes); }
  [[nodiscard]] bool has_refusals() const;

  [[nodiscard]] std::string describe() const;
};

/// What seeds may draw.
struct PlanLimits {
  int min_ranks = 2;  ///< of each node
  int max_ranks = 4;
  int num_nodes = 1;
  int max_channels = 3;
  int min_in_flight = 1;
  int max_in_flight = 2;
  int max_operations = 9;
  int max_tokens = 7;
  int max_topk = 5;
  int max_experts_per_rank = 3;
  bool wide_rows = false;
  bool refusals = false;  ///< some dispatches fail
};

ExchangePlan make_plan(std::uint64_t seed, const PlanLimits& limits = {});

/// Padded dispatches of one shape, between them compact ones of which some are refused: places
/// given ahead are withdrawn again and again, while slow ranks still believe in them.
ExchangePlan make_withdrawal_plan(std::uint64_t seed, const PlanLimits& limits = {});

/// Numbers of many magnitudes, so that another order of summation gives other sums.
std::vector<std::byte> random_rows(std::mt19937_64& random, DType dtype, std::size_t num_elems);
std::vector<float> random_floats(std::mt19937_64& random, std::size_t count);

}  // namespace switchyard::sim
