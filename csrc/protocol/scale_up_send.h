// Scale-up send of dispatch: sends each token of its share to the ranks of this node; then tells
// every destination that this channel's rows are there. One per channel.
#pragma once

#include <cstdint>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/row_sender.h"

namespace switchyard::protocol {

class ScaleUpSend {
 public:
  static constexpr RoleKind kKind = RoleKind::kScaleUpSend;

  SY_HOST_DEVICE ScaleUpSend(const DispatchArgs* args, int channel)
      : args_(args), channel_(channel), sender_(args, channel, args->op.place.node) {
    const Share share = share_of(args->problem.num_tokens, channel, args->op.num_channels);
    token_ = static_cast<std::int32_t>(share.begin);
    end_token_ = static_cast<std::int32_t>(share.end);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    if (operation_failed(warp, args_->op)) {
      return Progress::kDone;
    }
    switch (stage_) {
      case Stage::kAwaitPlacement:
        return await_placement(warp);
      case Stage::kSend:
        return send_chunk(warp);
      case Stage::kPublish:
        return publish(warp);
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t { kAwaitPlacement, kSend, kPublish, kDone };

  template <Warp W>
  SY_HOST_DEVICE Progress await_placement(W& warp) {
    // Pairs with CountExchange::collect_answers and collect_permits: regions and bases are written.
    const Word placed = warp.load_acquire(&args_->op.flags->placed);
    if (placed == 0) {
      wait_ = {WaitKind::kLocalRole, -1, channel_, 1, placed};
      return Progress::kBlocked;
    }
    stage_ = Stage::kSend;
    return Progress::kAdvanced;
  }

  template <Warp W>
  SY_HOST_DEVICE Progress send_chunk(W& warp) {
    const std::int32_t stop =
        end_token_ - token_ > args_->chunk_tokens ? token_ + args_->chunk_tokens : end_token_;
    for (; token_ < stop; ++token_) {
      if (args_->problem.row_per_expert() && token_ + 1 < end_token_) {
        sender_.expect(warp, read(token_ + 1));
      }
      sender_.send(warp, read(token_), row_of(token_));
    }
    if (token_ == end_token_) {
      stage_ = Stage::kPublish;
    }
    return Progress::kAdvanced;
  }

  SY_HOST_DEVICE TokenEntries read(std::int32_t token) const {
    TokenEntries entries;
    entries.read(args_->entries(), token, args_->op.first_rank(), args_->op.peers.num_ranks);
    return entries;
  }

  SY_HOST_DEVICE TokenRow row_of(std::int32_t token) const {
    const DispatchInput& input = args_->input;
    const auto row = static_cast<std::uint64_t>(token);
    return {input.x + row * input.x_stride,
            input.scales == nullptr
                ? nullptr
                : reinterpret_cast<const std::uint32_t*>(input.scales + row * input.scales_stride),
            args_->problem.quantize};
  }

  template <Warp W>
  SY_HOST_DEVICE Progress publish(W& warp) {
    sender_.flush(warp);
    for (int peer = 0; peer < args_->op.peers.num_ranks; ++peer) {
      if (args_->routing.rows_per_rank[args_->op.rank_of(peer)] != 0) {
        sender_.publish(warp, peer);
      }
    }
    stage_ = Stage::kDone;
    return Progress::kDone;
  }

  const DispatchArgs* args_;
  std::int32_t channel_;
  RowSender sender_;
  Stage stage_ = Stage::kAwaitPlacement;
  std::int32_t token_ = 0;
  std::int32_t end_token_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
