// Where every row must land, from the routing of all ranks: the independent statement of the
// layouts that results are judged by. Naive on purpose, and made from nothing of the library but
// its public types.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "benchmarks/common/routing_source.h"
#include "benchmarks/common/workload.h"
#include "switchyard/tensor.h"

namespace switchyard::bench {

/// One row of the landed tensors.
struct LandedRow {
  std::int32_t source_rank = -1;  ///< -1: a row that holds nothing (padding, an unused place)
  std::int32_t token = -1;
  std::int32_t local_expert = -1;  ///< -1 in rank-major
};

/// One row that a combine adds for a token of this rank, in the order of the sum.
struct Contribution {
  std::int32_t rank = -1;      ///< where the row lies
  std::int64_t row = -1;       ///< its index among the landed rows there
  std::int32_t producer = -1;  ///< for fill_expert_row
  float weight = 1.0F;         ///< top-k weight; an expert named twice has the sum of its entries
  bool closes_group = false;   ///< last row of its rank
};

/// One rank's part in a dispatch and its combine. Immutable after construction.
class Reference {
 public:
  /// `all` holds the routing of every rank, in rank order; ranks may have different numbers of
  /// tokens. It is shared, not copied: it grows with ranks x tokens.
  Reference(const Workload& workload,
            int rank,
            std::shared_ptr<const std::vector<RankRouting>> all);
  Reference(const Workload& workload, int rank, std::vector<RankRouting> all)
      : Reference(
            workload, rank, std::make_shared<const std::vector<RankRouting>>(std::move(all))) {}

  [[nodiscard]] const Workload& workload() const { return workload_; }
  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int num_tokens() const { return num_tokens_; }  ///< of this rank

  // As a destination.
  [[nodiscard]] std::span<const LandedRow> rows() const {
    return rows_;
  }  ///< with padding, as DispatchHandle::num_rows
  [[nodiscard]] std::int64_t num_landed() const { return num_landed_; }  ///< without padding
  [[nodiscard]] std::span<const std::int32_t> rows_from_rank() const { return rows_from_rank_; }
  [[nodiscard]] std::span<const std::int32_t> rows_per_expert() const { return rows_per_expert_; }
  [[nodiscard]] std::span<const std::int32_t> rows_per_expert_and_rank() const {
    return rows_per_expert_and_rank_;
  }
  [[nodiscard]] std::span<const std::int64_t> expert_offsets() const { return expert_offsets_; }
  /// The routing of every rank, as it was given.
  [[nodiscard]] std::span<const RankRouting> all_routing() const { return *all_; }

  // As a source.
  [[nodiscard]] std::span<const std::int32_t> row_of_entry() const { return row_of_entry_; }
  [[nodiscard]] std::span<const std::int32_t> rank_of_entry() const { return rank_of_entry_; }
  /// Rows that each rank gets from this one: [num_ranks]. Their sum times row bytes is what a
  /// dispatch writes.
  [[nodiscard]] std::span<const std::int64_t> rows_to_rank() const { return rows_to_rank_; }
  /// Tokens that have at least one expert on each rank: [num_ranks]. The fewest rows that could
  /// cross to it.
  [[nodiscard]] std::span<const std::int64_t> tokens_to_rank() const { return tokens_to_rank_; }
  /// What is summed for a token of this rank, in the contract's order.
  [[nodiscard]] std::span<const Contribution> contributions(int token) const;
  [[nodiscard]] std::int64_t num_contributions() const {
    return static_cast<std::int64_t>(contributions_.size());
  }

 private:
  struct Builder;

  Workload workload_;
  int rank_ = 0;
  int num_tokens_ = 0;
  std::int64_t num_landed_ = 0;
  std::shared_ptr<const std::vector<RankRouting>> all_;
  std::vector<LandedRow> rows_;
  std::vector<std::int32_t> rows_from_rank_;
  std::vector<std::int32_t> rows_per_expert_;
  std::vector<std::int32_t> rows_per_expert_and_rank_;
  std::vector<std::int64_t> expert_offsets_;
  std::vector<std::int32_t> row_of_entry_;
  std::vector<std::int32_t> rank_of_entry_;
  std::vector<std::int64_t> rows_to_rank_;
  std::vector<std::int64_t> tokens_to_rank_;
  std::vector<Contribution> contributions_;
  std::vector<std::size_t> first_contribution_;  // [num_tokens + 1]
};

/// Writes the expert outputs of all landed rows of this rank, the input of its combine.
/// Shapes: x [rows().size(), hidden] of combine_dtype, contiguous (or more dimensions of the same
/// order)
void fill_expert_rows(const Reference& reference, const TensorView& x);

}  // namespace switchyard::bench
