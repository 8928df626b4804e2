// Dispatch: what the caller asks for, what it gets, and the handle that ties a later combine or
// backward pass to it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "switchyard/layout.h"
#include "switchyard/tensor.h"

namespace switchyard {

namespace runtime {
class BufferState;
class HandleState;
class LandedRows;
}  // namespace runtime

/// The routing of one dispatch, as this rank sees it. Copying shares it; it stays valid after the
/// result is released.
class DispatchHandle {
 public:
  DispatchHandle() = default;
  [[nodiscard]] bool valid() const { return state_ != nullptr; }

  [[nodiscard]] Layout layout() const;
  [[nodiscard]] int num_tokens() const;  ///< of this rank
  [[nodiscard]] int hidden() const;
  [[nodiscard]] int topk() const;
  [[nodiscard]] int num_experts() const;
  [[nodiscard]] int max_tokens() const;  ///< padded layout: places per (expert, source); else 0

  // As a destination.
  /// Rows of the landed tensors: exact for rank-major, with alignment padding for expert-major, all
  /// places for padded.
  [[nodiscard]] std::int64_t num_rows() const;
  [[nodiscard]] std::span<const std::int32_t> rows_from_rank()
      const;  ///< [num_ranks], without padding
  [[nodiscard]] std::span<const std::int32_t> rows_per_expert()
      const;  ///< [experts_per_rank], without padding
  [[nodiscard]] std::span<const std::int32_t> rows_per_expert_and_rank()
      const;  ///< [experts_per_rank][num_ranks]
  /// First row of each local expert, and num_rows at the end: [experts_per_rank + 1]. Empty for
  /// rank-major.
  [[nodiscard]] std::span<const std::int64_t> expert_offsets() const;

  // As a source.
  /// Row at the destination rank of every top-k entry: [num_tokens][topk], -1 where the entry is
  /// -1.
  [[nodiscard]] std::span<const std::int32_t> row_of_entry() const;
  /// Destination rank of every top-k entry: [num_tokens][topk], -1 where the entry is -1.
  [[nodiscard]] std::span<const std::int32_t> rank_of_entry() const;
  /// Tokens with at least one expert on `rank`, ascending.
  [[nodiscard]] std::vector<std::int32_t> tokens_of_rank(int rank) const;

 private:
  friend class runtime::BufferState;
  explicit DispatchHandle(std::shared_ptr<const runtime::HandleState> state)
      : state_(std::move(state)) {}
  [[nodiscard]] const runtime::HandleState& state() const;
  std::shared_ptr<const runtime::HandleState> state_;
};

/// Shapes, with T = tokens of this rank (any number, different on each rank), H = hidden, K = top-k
/// (1..32): everything but T agrees on all ranks.
struct DispatchRequest {
  /// [T, H] bf16, fp16, fp32 or fp8 e4m3; H * element bytes a multiple of 16; rows 16-byte aligned,
  /// innermost stride 1.
  ConstTensorView x{};
  /// For fp8 rows, carried as they come: fp32 [T, ceil(H / 128)] or packed ue8m0 [T, ceil(H /
  /// 512)]; not given: none.
  ConstTensorView scales{};
  /// [T, K] int32 or int64, each a global expert or -1 for none. Not given when `handle` is.
  ConstTensorView topk_idx{};
  /// [T, K] fp32; not given: none are carried and the result has no weights.
  ConstTensorView topk_weights{};

  int num_experts = 0;  ///< a multiple of the number of ranks; expert e lives on rank e /
                        ///< (num_experts / num_ranks)
  Layout layout = Layout::kRankMajor;
  int expert_alignment = 1;  ///< expert-major: each expert starts at a multiple of this many rows
  bool zero_padding =
      false;           ///< expert-major: alignment rows are set to zero, else they are undefined
  int max_tokens = 0;  ///< padded: at least T on every rank
  Quantize quantize = Quantize::kNone;

  /// Dispatch again along the routing of an earlier dispatch (the backward pass): no counting, the
  /// same places. Routing, layout and weights come from the handle; x may differ in element type
  /// and width.
  DispatchHandle handle{};

  /// Caller's memory for the rows, instead of a view of the heap: [rows >= needed, H] contiguous
  /// rows.
  TensorView out_x{};
  TensorView out_scales{};
};

/// Landed rows of one dispatch. Move-only; releases its heap region when destroyed.
/// Shapes: R = num_rows() of the handle (padded: [experts_per_rank][num_ranks][max_tokens] in place
/// of [R]); E = K for
///         rank-major, 1 for the other layouts
/// Lifetime: views are valid until release() or destruction, or as long as the caller's own memory
/// Errors: every accessor throws InvalidState after release()
class DispatchResult {
 public:
  DispatchResult();
  DispatchResult(DispatchResult&& other) noexcept;
  DispatchResult& operator=(DispatchResult&& other) noexcept;
  DispatchResult(const DispatchResult&) = delete;
  DispatchResult& operator=(const DispatchResult&) = delete;
  ~DispatchResult();

  [[nodiscard]] TensorView x() const;  ///< [R, H], the type of the request (fp8 when quantised)
  [[nodiscard]] TensorView scales() const;  ///< [R, scales per row]; not given when none
  [[nodiscard]] ConstTensorView topk_idx()
      const;  ///< [R, E] local expert indices, -1 elsewhere; the caller's type
  [[nodiscard]] ConstTensorView topk_weights()
      const;  ///< [R, E] fp32, 0 where topk_idx is -1; not given when none
  [[nodiscard]] ConstTensorView source_rank() const;   ///< [R] int32; undefined in padding rows
  [[nodiscard]] ConstTensorView source_token() const;  ///< [R] int32; undefined in padding rows
  [[nodiscard]] const DispatchHandle& handle() const;
  [[nodiscard]] std::int64_t num_rows() const { return handle().num_rows(); }

  /// Gives the rows' memory back before destruction.
  void release();

 private:
  friend class runtime::BufferState;
  friend class Buffer;
  DispatchResult(DispatchHandle handle, std::unique_ptr<runtime::LandedRows> rows);
  [[nodiscard]] const runtime::LandedRows& rows() const;

  DispatchHandle handle_;
  std::unique_ptr<runtime::LandedRows> rows_;
};

}  // namespace switchyard
