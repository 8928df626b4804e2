// Scale-up send of dispatch: reads each token of its share once and writes it to the row that each
// destination gave it, with its metadata; then tells every destination that this channel's rows are
// there. One per channel.
#pragma once

#include <cstdint>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/row_metadata.h"

namespace switchyard::protocol {

class ScaleUpSend {
 public:
  static constexpr RoleKind kKind = RoleKind::kScaleUpSend;

  SY_HOST_DEVICE ScaleUpSend(const DispatchArgs* args, int channel)
      : args_(args), channel_(channel), metadata_(args, channel) {
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

  /// Rows of one token, gathered before they are written with one read.
  struct Destinations {
    std::byte* payload[kMaxTopk];
    std::byte* scales[kMaxTopk];
    std::int32_t payload_rank[kMaxTopk];
    std::int32_t payload_row[kMaxTopk];
    int count = 0;
  };

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
        expect_token(warp, token_ + 1);
      }
      send_token(warp);
    }
    if (token_ == end_token_) {
      stage_ = Stage::kPublish;
    }
    return Progress::kAdvanced;
  }

  /// Where the row goes that entry `entry` opens.
  SY_HOST_DEVICE RowPlace row_of(std::int64_t entry) const {
    const std::int32_t rank = args_->routing.rank[entry];
    const std::int32_t unit = args_->problem.row_per_expert() ? args_->routing.expert[entry] : rank;
    return {rank,
            args_->placement.base[unit] + args_->routing.ordinal[entry],
            args_->landing_of(args_->placement.rows_of_rank[rank]),
            args_->op.peers.at(rank, args_->placement.region_of_rank[rank])};
  }

  /// Has the places of the next token's metadata fetched while this one's rows are copied.
  template <Warp W>
  SY_HOST_DEVICE void expect_token(W& warp, std::int32_t token) {
    const std::int64_t first = std::int64_t{token} * args_->problem.topk;
    for (int k = 0; k < args_->problem.topk; ++k) {
      if (args_->routing.opener[first + k] == k) {
        std::byte* metadata = row_of(first + k).metadata();
        warp.expect_words(metadata);
        warp.expect_words(metadata + args_->problem.packet.metadata_bytes() - 1);
      }
    }
  }

  template <Warp W>
  SY_HOST_DEVICE void send_token(W& warp) {
    const DispatchProblem& problem = args_->problem;
    const std::int64_t first = std::int64_t{token_} * problem.topk;
    TokenEntries entries;
    entries.read(*args_, token_);
    Destinations to;
    for (int k = 0; k < problem.topk; ++k) {
      if (args_->routing.opener[first + k] == k) {
        add_row(warp, entries, k, row_of(first + k), to);
      }
    }
    if (to.count == 0) {
      return;
    }
    const std::byte* x =
        args_->input.x + static_cast<std::uint64_t>(token_) * args_->input.x_stride;
    if (problem.quantize != ScaleFormat::kNone) {
      const Quantization row{nullptr, nullptr, x, problem.hidden, problem.quantize};
      warp.quantize_row(row, to.payload, to.scales, to.count, problem.copy_hint);
      return;
    }
    warp.copy_row(to.payload, to.count, x, problem.packet.payload_bytes, problem.copy_hint);
    if (args_->input.scales != nullptr) {
      const auto* scales = reinterpret_cast<const std::uint32_t*>(
          args_->input.scales + static_cast<std::uint64_t>(token_) * args_->input.scales_stride);
      for (int i = 0; i < to.count; ++i) {
        warp.store_words(to.scales[i], scales, args_->input.scales_words);
      }
    }
  }

  /// Writes the metadata of the row that entry `k` opens, and adds it to those that get the payload
  /// from here.
  template <Warp W>
  SY_HOST_DEVICE void add_row(
      W& warp, const TokenEntries& entries, int k, const RowPlace& place, Destinations& to) {
    const DispatchProblem& problem = args_->problem;
    const std::int32_t rank = place.rank;
    const std::int32_t row = place.row;
    std::int32_t payload_row = row;
    if (problem.expert_copies == ExpertCopies::kByReceiver) {
      for (int i = 0; i < to.count; ++i) {
        payload_row = to.payload_rank[i] == rank ? to.payload_row[i] : payload_row;
      }
    }
    if (payload_row == row) {
      const auto row_idx = static_cast<std::uint64_t>(row);
      to.payload[to.count] = place.region + place.landing.payload_offset(row_idx);
      to.scales[to.count] = place.region + place.landing.scales_offset(row_idx);
      to.payload_rank[to.count] = rank;
      to.payload_row[to.count] = row;
      ++to.count;
    }
    if (problem.row_per_expert()) {
      metadata_.store(warp, entries, k, place, payload_row);
    } else {
      metadata_.append(warp, entries, place);
    }
  }

  template <Warp W>
  SY_HOST_DEVICE Progress publish(W& warp) {
    for (int peer = 0; peer < args_->op.peers.num_ranks && !args_->problem.row_per_expert();
         ++peer) {
      metadata_.store_run(warp, peer);
    }
    for (int peer = 0; peer < args_->op.peers.num_ranks; ++peer) {
      if (args_->routing.rows_per_rank[peer] == 0) {
        continue;
      }
      // Names the landing, so that rows put elsewhere are never taken for arrived.
      const std::uint64_t region = args_->placement.region_of_rank[peer] / kRegionUnit;
      // Pairs with ScaleUpReceive::await_source: every row and its metadata.
      warp.store_release(args_->op.progress_at(peer, channel_),
                         args_->op.progress_word(
                             args_->op.check_to(peer, MessageKind::kProgress), channel_, region));
    }
    stage_ = Stage::kDone;
    return Progress::kDone;
  }

  const DispatchArgs* args_;
  std::int32_t channel_;
  MetadataWriter metadata_;
  Stage stage_ = Stage::kAwaitPlacement;
  std::int32_t token_ = 0;
  std::int32_t end_token_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
