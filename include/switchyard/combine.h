// Combine: expert outputs come back to the ranks of their tokens and are summed, in an order that
// is part of the contract.
#pragma once

#include <array>
#include <memory>

#include "switchyard/dispatch.h"
#include "switchyard/tensor.h"

namespace switchyard {

namespace runtime {
class CombinedRows;
}  // namespace runtime

/// The sum for one token, in fp32: start from 0, add bias[0], then bias[1], then one group per
/// destination rank, in the order of each rank's last top-k position. A group is the sum of that
/// rank's rows of the token in top-k order (one row in rank-major layout), each multiplied by its
/// weight if there is one, rounded to x's element type. The result is rounded once. Every product
/// and sum is rounded to fp32 by itself. Timing never changes the order. A row's weight is its
/// row_weights entry times its topk_weights entry, as far as they are given.
/// Shapes:     R, T, K, E as in DispatchRequest and DispatchResult of `handle`; H is free, the same
///             on every rank, and H * element bytes a multiple of 16
struct CombineRequest {
  /// Expert outputs, one per landed row: [R, H] (padded: also [experts_per_rank, num_ranks,
  /// max_tokens, H]) bf16, fp16 or fp32, rows 16-byte aligned, innermost stride 1. Rows without
  /// gaps inside this rank's heap (DispatchResult::x, Buffer::allocate) are read where they lie;
  /// anything else is copied into the heap first.
  ConstTensorView x{};
  /// Of a dispatch of the same Buffer, on every rank the same one.
  DispatchHandle handle{};

  /// [R] fp32, on the rank of the experts: multiplies each row of x. Each rank may give it or not.
  ConstTensorView row_weights{};
  /// [T, K] fp32, on the rank of the tokens: multiplies the row of each top-k entry. Expert-major
  /// and padded only. An expert named twice by a token has one row, weighted by the sum of its
  /// entries. Each rank may give it or not.
  ConstTensorView topk_weights{};
  /// Up to two tensors [T, H] of x's type with 16-byte aligned rows, added first.
  std::array<ConstTensorView, 2> bias{};
  /// [R, E] fp32, on the rank of the experts (the gradient of the weights, say): summed into
  /// CombineResult::topk_weights [T, K]. Given by all ranks or by none. Rank-major: every column of
  /// a row counts, so those whose landed top-k index is -1 should hold 0.
  ConstTensorView row_topk_weights{};

  /// Target cuda: as DispatchRequest::stream.
  void* stream = nullptr;
  void* wait_event = nullptr;
  void* done_event = nullptr;

  /// Caller's memory for the sums, [T, H] of x's type with 16-byte aligned rows, overlapping
  /// neither x nor a bias; not given: a view of the heap.
  TensorView out{};
};

/// Summed rows of one combine. Move-only; releases its heap region when destroyed. Lifetime and
/// errors as of DispatchResult.
class CombineResult {
 public:
  CombineResult();
  CombineResult(CombineResult&& other) noexcept;
  CombineResult& operator=(CombineResult&& other) noexcept;
  CombineResult(const CombineResult&) = delete;
  CombineResult& operator=(const CombineResult&) = delete;
  ~CombineResult();

  [[nodiscard]] TensorView out() const;  ///< [T, H]
  /// [T, K] fp32, 0 where the top-k index is -1 (expert-major, padded); not given without
  /// row_topk_weights.
  [[nodiscard]] ConstTensorView topk_weights() const;

  /// Gives the memory back before destruction.
  void release();

 private:
  friend class runtime::BufferState;
  explicit CombineResult(std::unique_ptr<runtime::CombinedRows> rows);
  std::unique_ptr<runtime::CombinedRows> rows_;
};

}  // namespace switchyard
