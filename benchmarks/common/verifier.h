// Judges a dispatch or a combine byte by byte against the reference: every row, scale, index,
// weight and count, and every sum in the contract's order with arithmetic of its own
// (scalar_math.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "benchmarks/common/aligned_buffer.h"
#include "benchmarks/common/reference.h"
#include "switchyard/combine.h"
#include "switchyard/dispatch.h"

namespace switchyard::bench {

/// What was checked, and the first thing that was wrong.
struct VerifyReport {
  std::int64_t rows_checked = 0;
  std::int64_t bytes_checked = 0;
  std::int64_t mismatches = 0;  ///< rows or counts that differ
  std::string first;  ///< "rank 1 row 17 (source 2 token 40): x byte 3: got 0x3f, wanted 0x40";
                      ///< empty when ok

  [[nodiscard]] bool ok() const { return mismatches == 0; }
  void merge(const VerifyReport& other);
};

/// A dispatch result as plain views, so that rivals and tests are judged by the same code. Tensors
/// that are not given and counts that are empty are not checked.
/// Shapes: as DispatchResult and DispatchHandle
struct DispatchViews {
  ConstTensorView x;
  ConstTensorView scales;
  ConstTensorView topk_idx;  ///< int32 or int64
  ConstTensorView topk_weights;
  ConstTensorView source_rank;
  ConstTensorView source_token;
  std::int64_t num_rows = 0;
  std::span<const std::int32_t> rows_from_rank;
  std::span<const std::int32_t> rows_per_expert;
  std::span<const std::int32_t> rows_per_expert_and_rank;
  std::span<const std::int64_t> expert_offsets;
  std::span<const std::int32_t> row_of_entry;
  std::span<const std::int32_t> rank_of_entry;
};

/// Views of a result of the library. The result must outlive them.
DispatchViews views_of(const DispatchResult& result);

class Verifier {
 public:
  explicit Verifier(std::shared_ptr<const Reference> reference);

  /// Checks all that `views` gives. Padding rows must be zero when the workload asks for it, else
  /// they are not looked at.
  [[nodiscard]] VerifyReport check_dispatch(const DispatchViews& views) const;
  /// The same, and everything that the library promises must be given.
  [[nodiscard]] VerifyReport check_dispatch(const DispatchResult& result) const;
  [[nodiscard]] VerifyReport check_complete_dispatch(const DispatchViews& views) const;

  /// Checks the sums of expert outputs written by fill_expert_rows on all ranks, weighted as
  /// Workload::weighted_combine says.
  /// Shapes: out [num_tokens, hidden] of combine_dtype
  [[nodiscard]] VerifyReport check_combine(const ConstTensorView& out) const;
  [[nodiscard]] VerifyReport check_combine(const CombineResult& result) const;

 private:
  std::shared_ptr<const Reference> reference_;
};

/// Overwrites rows with a pattern that no row holds, so that a row which is not written again is
/// seen. For result memory before it is released, and for the caller's output memory.
void poison(const TensorView& view);

/// The caller's output memory with a guard row before and after it, all poisoned. Move-only.
class GuardedRows {
 public:
  /// `num_rows` rows of `hidden` elements; row starts are 64-byte aligned when row bytes allow.
  GuardedRows(DType dtype, std::int64_t num_rows, int hidden);

  [[nodiscard]] TensorView view() const { return view_; }
  void poison_all();
  /// Checks that both guards, and the rows from `first_unused_row` on, still hold the pattern.
  [[nodiscard]] VerifyReport check_untouched(std::int64_t first_unused_row) const;

 private:
  std::size_t row_bytes_;
  std::size_t guard_bytes_;  // before and after the rows: one row, rounded up to a cache line
  AlignedBuffer memory_;
  TensorView view_;
};

}  // namespace switchyard::bench
