// Copy-in of combine: brings this channel's share of the expert outputs, and of the per-row
// weights, into the heap where peers can read them. One per channel; only when something lies
// outside the heap.
#pragma once

#include <cstdint>

#include "csrc/protocol/combine_args.h"
#include "csrc/protocol/mailbox.h"

namespace switchyard::protocol {

class CombineCopyIn {
 public:
  static constexpr RoleKind kKind = RoleKind::kCombineCopyIn;

  SY_HOST_DEVICE CombineCopyIn(const CombineArgs* args, int channel)
      : args_(args), channel_(channel) {}

  template <Warp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    if (operation_failed(warp, args_->op)) {
      return Progress::kDone;
    }
    switch (stage_) {
      case Stage::kAwaitRegion:
        return await_region(warp);
      case Stage::kCopy:
        return copy_chunk(warp);
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t { kAwaitRegion, kCopy, kDone };

  template <Warp W>
  SY_HOST_DEVICE Progress await_region(W& warp) {
    // Pairs with CombineAnnounce::reserve: the region's offset is written.
    const Word reserved = warp.load_acquire(&args_->op.flags->reserved);
    if (reserved == 0) {
      wait_ = {WaitKind::kLocalRole, -1, channel_, 1, reserved};
      return Progress::kBlocked;
    }
    stage_ = Stage::kCopy;
    start_source();
    return Progress::kAdvanced;
  }

  SY_HOST_DEVICE void start_source() {
    const Share share =
        share_of(args_->experts.rows_from[source_], channel_, args_->op.num_channels);
    walk_.start(args_->experts.runs, source_, share.begin, share.end);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress copy_chunk(W& warp) {
    walk_.advance(
        args_->experts.runs, args_->chunk_tokens, [&](std::int64_t first, std::int64_t rows) {
          for (std::int64_t row = first; row < first + rows; ++row) {
            copy_row(warp, static_cast<std::uint64_t>(row));
          }
        });
    if (!walk_.done()) {
      return Progress::kAdvanced;
    }
    if (++source_ < args_->op.num_sources()) {
      start_source();
      return Progress::kAdvanced;
    }
    warp.add_release(&args_->op.flags->copied, 1);  // pairs with CombineAnnounce::await_copies
    stage_ = Stage::kDone;
    return Progress::kDone;
  }

  template <Warp W>
  SY_HOST_DEVICE void copy_row(W& warp, std::uint64_t row) {
    const ExpertOutputs& experts = args_->experts;
    const CopyInLayout& layout = experts.copy_in;
    std::byte* region = args_->op.peers.local(*experts.copy_in_region);
    if (layout.row_bytes != 0) {
      std::byte* to = region + row * layout.row_bytes;
      warp.copy_row(
          &to, 1, experts.x + row * experts.x_stride, layout.row_bytes, args_->problem.copy_hint);
    }
    if (layout.num_weights != 0) {
      warp.store_words(region + layout.row_weights_offset() + row * sizeof(float),
                       reinterpret_cast<const std::uint32_t*>(experts.row_weights + row),
                       1);
    }
    if (layout.num_entries != 0) {
      const auto* from = reinterpret_cast<const std::byte*>(experts.row_topk_weights) +
                         row * experts.row_topk_weights_stride;
      warp.store_words(
          region + layout.row_topk_weights_offset() + row * layout.num_entries * sizeof(float),
          reinterpret_cast<const std::uint32_t*>(from),
          layout.num_entries);
    }
  }

  const CombineArgs* args_;
  std::int32_t channel_;
  Stage stage_ = Stage::kAwaitRegion;
  std::int32_t source_ = 0;
  RowWalk walk_;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
