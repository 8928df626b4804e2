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

/// Counts of a dispatch where a GPU's kernels find them, which launch after launch of a graph writes
/// again. Lifetime: the handle's
struct DeviceCounts {
  const std::int32_t* rows_from_rank = nullptr;  ///< [num_ranks]
  /// [num_ranks][experts_per_rank]: by source, as they were counted there
  const std::int32_t* rows_from_rank_and_expert = nullptr;
  /// [experts_per_rank + 1]: first row of each local expert, behind the last the rows that came;
  /// not for rank-major
  const std::int64_t* expert_offsets = nullptr;
};

/// The routing of one dispatch, as this rank sees it. Copying shares it; it stays valid after the
/// result is released, and so do its spans as long as a copy of the handle lives.
/// Errors:     every accessor but valid() throws InvalidState on an empty handle
class DispatchHandle {
 public:
  DispatchHandle() = default;
  [[nodiscard]] bool valid() const { return state_ != nullptr; }

  [[nodiscard]] Layout layout() const;
  [[nodiscard]] int num_tokens() const;  ///< of this rank
  [[nodiscard]] int hidden() const;      ///< elements; of the dispatch that counted
  [[nodiscard]] int topk() const;
  [[nodiscard]] int num_experts() const;
  [[nodiscard]] int max_tokens() const;  ///< padded layout: places per (expert, source); else 0

  // As a destination.
  /// R, rows of the landed tensors: exact for rank-major, with alignment padding for expert-major,
  /// all places for padded.
  [[nodiscard]] std::int64_t num_rows() const;
  /// [num_ranks], without padding.
  [[nodiscard]] std::span<const std::int32_t> rows_from_rank() const;
  /// [experts_per_rank], without padding. Rank-major: tokens that name the expert, though one row
  /// may serve several experts.
  [[nodiscard]] std::span<const std::int32_t> rows_per_expert() const;
  /// [experts_per_rank][num_ranks], the same by source.
  [[nodiscard]] std::span<const std::int32_t> rows_per_expert_and_rank() const;
  /// First row of each local expert, and num_rows at the end: [experts_per_rank + 1]. Empty for
  /// rank-major.
  [[nodiscard]] std::span<const std::int64_t> expert_offsets() const;

  // As a source.
  /// Row at the destination rank of every top-k entry: [num_tokens][topk], -1 where the entry is
  /// -1.
  [[nodiscard]] std::span<const std::int32_t> row_of_entry() const;
  /// Destination rank of every top-k entry: [num_tokens][topk], -1 where the entry is -1.
  [[nodiscard]] std::span<const std::int32_t> rank_of_entry() const;
  /// 1 where an entry names an expert of a rank that is no member of the group (Membership):
  /// nothing was sent for it, and combine adds nothing. [num_tokens][topk]; empty where the group
  /// is the world.
  [[nodiscard]] std::span<const std::uint8_t> lost_entries() const;
  /// Tokens of this rank with at least one expert on `rank`, ascending. Errors: InvalidArgument for
  /// a rank that the group has not
  [[nodiscard]] std::vector<std::int32_t> tokens_of_rank(int rank) const;

  /// Target cuda. All above but num_rows() and the shape copy from there at the first look, and
  /// wait for the GPU; of an enqueued dispatch they stay as they were then. Errors: InvalidState on
  /// the host target
  [[nodiscard]] DeviceCounts device_counts() const;

 private:
  friend class runtime::BufferState;
  explicit DispatchHandle(std::shared_ptr<const runtime::HandleState> state)
      : state_(std::move(state)) {}
  [[nodiscard]] const runtime::HandleState& state() const;
  std::shared_ptr<const runtime::HandleState> state_;
};

/// What to send where. Everything but the tensors' contents, T, out_x and out_scales agrees on all
/// ranks.
/// Shapes:     T = tokens of this rank (any number, different on each rank), H = hidden, K = top-k
///             (1..32)
struct DispatchRequest {
  /// [T, H] bf16, fp16, fp32 or fp8 e4m3; H * element bytes, as sent, a multiple of 16; rows
  /// 16-byte aligned, innermost stride 1.
  ConstTensorView x{};
  /// For fp8 rows, carried as they come: fp32 [T, ceil(H / 128)] or packed ue8m0 [T, ceil(H /
  /// 512)]; not given: none.
  ConstTensorView scales{};
  /// [T, K] int32 or int64, any strides, each a global expert or -1 for none. Not given when
  /// `handle` is.
  ConstTensorView topk_idx{};
  /// [T, K] fp32; not given: none are carried and the result has no weights.
  ConstTensorView topk_weights{};

  /// A multiple of the number of ranks; expert e lives on rank e / (num_experts / num_ranks). Ranks
  /// of the world, where the group is a part of it.
  int num_experts = 0;
  Layout layout = Layout::kRankMajor;
  int expert_alignment = 1;  ///< expert-major: each expert starts at a multiple of this many rows
  /// Expert-major: alignment rows are set to zero (all of them: payload, scales, top-k entries,
  /// sources), else they are undefined.
  bool zero_padding = false;
  int max_tokens = 0;                   ///< padded: at least T on every rank; else 0
  Quantize quantize = Quantize::kNone;  ///< bf16 rows only

  /// Target cuda: rows set aside for the landing of a compact layout, which the host does not learn
  /// before the kernel runs; 0 takes as many as come when every rank has T tokens. Too few:
  /// HeapTooSmall on every rank.
  std::int64_t max_rows = 0;
  /// Target cuda: a stream (cudaStream_t) whose work so far the operation waits for; null: none.
  void* stream = nullptr;
  /// Target cuda: events (cudaEvent_t): the operation waits for the first as well; the second is
  /// recorded when it is done. Null: none.
  void* wait_event = nullptr;
  void* done_event = nullptr;

  /// Dispatch again along the routing of an earlier dispatch of the same Buffer (the backward
  /// pass): no counting, the same places. Routing, layout, its options and weights come from the
  /// handle, not from the fields above: top-k tensors must not be given, numbers are not read. x
  /// may differ in element type and width.
  DispatchHandle handle{};

  /// Caller's memory for the rows, instead of a view of the heap: at least R rows of H elements,
  /// 16-byte aligned (padded: also [experts_per_rank, num_ranks, max_tokens, H]). The rows still
  /// land in the heap, and are copied here; R is known only when the dispatch is finished.
  TensorView out_x{};
  /// The same for the scales; with out_x only.
  TensorView out_scales{};
};

/// Landed rows of one dispatch. Move-only; releases its heap region when destroyed. Padding rows
/// (alignment rows without zero_padding; padded places beyond a source's count) are undefined in
/// all tensors.
/// Shapes:     R = num_rows() of the handle (padded: [experts_per_rank, num_ranks, max_tokens] in
///             place of [R]); E = K for rank-major, 1 for the other layouts. Rows of x have no gaps
///             (unless out_x had); those of the other tensors have: go by the strides.
/// Lifetime:   views are valid until release() or destruction, or as long as the caller's own
///             memory
/// Errors:     every accessor but handle() and num_rows() throws InvalidState after release()
class DispatchResult {
 public:
  DispatchResult();
  DispatchResult(DispatchResult&& other) noexcept;
  DispatchResult& operator=(DispatchResult&& other) noexcept;
  DispatchResult(const DispatchResult&) = delete;
  DispatchResult& operator=(const DispatchResult&) = delete;
  ~DispatchResult();

  /// [R, H], the type of the request (fp8 when quantised); the first R rows of out_x if it was
  /// given. The caller may write over it.
  [[nodiscard]] TensorView x() const;
  /// [R, scales per row]; not given when none; of out_scales if it was given.
  [[nodiscard]] TensorView scales() const;
  /// [R, E] experts as their rank counts them, -1 for experts elsewhere; the type of the request.
  [[nodiscard]] ConstTensorView topk_idx() const;
  /// [R, E] fp32, 0 where topk_idx is -1; not given when none.
  [[nodiscard]] ConstTensorView topk_weights() const;
  [[nodiscard]] ConstTensorView source_rank() const;   ///< [R] int32
  [[nodiscard]] ConstTensorView source_token() const;  ///< [R] int32, as the source counts them
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
