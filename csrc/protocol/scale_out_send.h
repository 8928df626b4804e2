// Scale-out send: gathers the tokens of its share that another node needs into packets and puts
// them, chunk by chunk, into the track to the rank of that node on this rank's rail. One per channel
// and other node. Of a dispatch the packets carry rows; of a combine they name the rows to sum.
#pragma once

#include <cstdint>

#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/rail_packet.h"
#include "csrc/protocol/rail_ring.h"
#include "csrc/protocol/scale_out_tokens.h"

namespace switchyard::protocol {

class ScaleOutSend {
 public:
  static constexpr RoleKind kKind = RoleKind::kScaleOutSend;

  SY_HOST_DEVICE ScaleOutSend(const OperationArgs* op,
                              const ScaleOutTokens& tokens,
                              int channel,
                              int node)
      : op_(op),
        tokens_(tokens),
        channel_(channel),
        node_(node),
        ring_(op, {node, channel, RingKind::kPackets}, op->previous, tokens.packet.packet_bytes()) {
    const Share share = share_of(tokens.num_tokens, channel, op->num_channels);
    token_ = static_cast<std::int32_t>(share.begin);
    end_token_ = static_cast<std::int32_t>(share.end);
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    switch (stage_) {
      case Stage::kAwaitTurn:
        return await_turn(warp);
      case Stage::kAwaitClearance:
        return await_clearance(warp);
      case Stage::kFill:
        return fill_chunk(warp);
      case Stage::kPut:
        return put_chunk(warp);
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t { kAwaitTurn, kAwaitClearance, kFill, kPut, kDone };

  SY_HOST_DEVICE Progress blocked(const WaitPoint& wait) {
    wait_ = wait;
    return Progress::kBlocked;
  }

  /// Hands the track to the next operation. An operation that fails does so before any packet went.
  template <RailWarp W>
  SY_HOST_DEVICE Progress end(W& warp) {
    ring_.end(warp);
    stage_ = Stage::kDone;
    return Progress::kDone;
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress await_turn(W& warp) {
    if (!ring_.begin(warp)) {
      return blocked(ring_.turn_wait());
    }
    stage_ = Stage::kAwaitClearance;
    return Progress::kAdvanced;
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress await_clearance(W& warp) {
    if (operation_failed(warp, *op_)) {
      return end(warp);
    }
    // Pairs with CountExchange and CombineAnnounce: every rank of every node has taken the operation.
    const Word cleared = warp.load_acquire(&op_->flags->cleared);
    if (cleared == 0) {
      return blocked({WaitKind::kLocalRole, -1, channel_, 1, cleared});
    }
    stage_ = Stage::kFill;
    return Progress::kAdvanced;
  }

  /// Fills packets until the chunk is full, the track is, or the tokens are at their end.
  template <RailWarp W>
  SY_HOST_DEVICE Progress fill_chunk(W& warp) {
    if (operation_failed(warp, *op_)) {
      return end(warp);
    }
    const int num_ranks = op_->peers.num_ranks;
    TokenEntries entries;
    for (; token_ < end_token_ && ring_.num_unpublished() < tokens_.chunk_packets; ++token_) {
      entries.read(tokens_.entries, token_, node_ * num_ranks, num_ranks);
      if (!entries.any()) {
        continue;
      }
      if (!ring_.has_room(warp)) {
        break;
      }
      fill_packet(warp, entries, ring_.fill());
    }
    if (ring_.num_unpublished() != 0) {
      stage_ = Stage::kPut;
      return Progress::kAdvanced;
    }
    return token_ == end_token_ ? end(warp) : blocked(ring_.room_wait());
  }

  template <RailWarp W>
  SY_HOST_DEVICE void fill_packet(W& warp, const TokenEntries& entries, std::byte* packet) {
    const RailPacketLayout& layout = tokens_.packet;
    const auto row = static_cast<std::uint64_t>(entries.token);
    const std::byte* x = tokens_.x + row * tokens_.x_stride;
    std::byte* scales = packet + layout.scales_offset();
    if (tokens_.quantize != ScaleFormat::kNone) {
      const Quantization description{nullptr, nullptr, x, tokens_.hidden, tokens_.quantize};
      warp.quantize_row(description, &packet, &scales, 1, tokens_.copy_hint);
    } else if (layout.payload_bytes != 0) {
      warp.copy_row(&packet, 1, x, layout.payload_bytes, tokens_.copy_hint);
    }
    if (tokens_.scales != nullptr) {
      warp.store_words(
          scales,
          reinterpret_cast<const std::uint32_t*>(tokens_.scales + row * tokens_.scales_stride),
          tokens_.scales_words);
    }
    store_route(warp,
                packet + layout.route_offset(),
                layout,
                entries,
                tokens_.entries.experts_per_rank,
                op_->check(MessageKind::kPacket, op_->self(), op_->rail_peer(node_)).value());
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress put_chunk(W& warp) {
    if (!ring_.publish(warp)) {
      return blocked(network_wait(channel_));
    }
    stage_ = Stage::kFill;
    return Progress::kAdvanced;
  }

  const OperationArgs* op_;
  ScaleOutTokens tokens_;
  std::int32_t channel_;
  std::int32_t node_;
  RingProducer ring_;
  Stage stage_ = Stage::kAwaitTurn;
  std::int32_t token_ = 0;
  std::int32_t end_token_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
