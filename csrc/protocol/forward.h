// Forward of dispatch: takes the packets of one rank of another node out of their track, writes each
// to its rows on this node, and gives the room in the track back; at the end tells every rank of
// this node that the channel's rows are there. One per channel and other node.
#pragma once

#include <cstdint>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/rail_ring.h"
#include "csrc/protocol/row_sender.h"

namespace switchyard::protocol {

class Forward {
 public:
  static constexpr RoleKind kKind = RoleKind::kForward;

  SY_HOST_DEVICE Forward(const DispatchArgs* args, int channel, int node)
      : args_(args),
        channel_(channel),
        node_(node),
        ring_(&args->op,
              {node, channel, RingKind::kPackets},
              args->op.previous,
              args->rail_packet().packet_bytes()),
        sender_(args, channel, node) {}

  template <RailWarp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    switch (stage_) {
      case Stage::kAwaitTurn:
        return await_turn(warp);
      case Stage::kAwaitPlacement:
        return await_placement(warp);
      case Stage::kForward:
        return forward_chunk(warp);
      case Stage::kCredit:
        return credit(warp);
      case Stage::kPublish:
        return publish(warp);
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t {
    kAwaitTurn,
    kAwaitPlacement,
    kForward,
    kCredit,
    kPublish,
    kDone
  };

  SY_HOST_DEVICE Progress blocked(const WaitPoint& wait) {
    wait_ = wait;
    return Progress::kBlocked;
  }

  /// Hands the track to the next operation. An operation that fails does so before any packet comes.
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
    stage_ = Stage::kAwaitPlacement;
    return Progress::kAdvanced;
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress await_placement(W& warp) {
    if (operation_failed(warp, args_->op)) {
      return end(warp);
    }
    // Pairs with CountExchange::clear: the regions of this node's ranks are written, and every rank
    // has taken the operation. Before that, what comes may belong to the next one: a rank that knows
    // of a refusal goes on to it.
    const Word cleared = warp.load_acquire(&args_->op.flags->cleared);
    if (cleared == 0) {
      return blocked({WaitKind::kLocalRole, -1, channel_, 1, cleared});
    }
    // Pairs with NodeRelay: bases and counts of the source are written.
    const Word relayed = warp.load_acquire(&args_->op.flags->relayed);
    if (relayed == 0) {
      return blocked({WaitKind::kLocalRole, -1, channel_, 1, relayed});
    }
    stage_ = Stage::kForward;
    return Progress::kAdvanced;
  }

  SY_HOST_DEVICE std::int32_t packets_left() const {
    return args_->relay.packets[node_ * args_->op.num_channels + channel_] - num_forwarded_;
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress forward_chunk(W& warp) {
    if (operation_failed(warp, args_->op)) {
      return end(warp);
    }
    std::int32_t count = 0;
    RelayedToken token;
    for (; packets_left() != 0 && count < args_->chunk_packets && ring_.has_packet(warp); ++count) {
      if (ring_.is_overrun()) {
        return fail(warp);
      }
      const std::byte* packet = ring_.packet();
      if (!token.read(warp,
                      packet + args_->rail_packet().route_offset(),
                      args_->rail_packet(),
                      args_->route_bounds(node_),
                      packet_check())) {
        return fail(warp);
      }
      sender_.send(warp, token.entries, row_in(packet));
      ring_.take();
      ++num_forwarded_;
    }
    if (count != 0) {
      stage_ = Stage::kCredit;
      return Progress::kAdvanced;
    }
    if (packets_left() != 0) {
      return blocked(ring_.packet_wait(WaitKind::kPackets));
    }
    stage_ = Stage::kPublish;
    return Progress::kAdvanced;
  }

  SY_HOST_DEVICE std::uint32_t packet_check() const {
    return args_->op.check(MessageKind::kPacket, args_->op.rail_peer(node_), args_->op.self())
        .value();
  }

  SY_HOST_DEVICE TokenRow row_in(const std::byte* packet) const {
    const RailPacketLayout layout = args_->rail_packet();
    const auto* scales = reinterpret_cast<const std::uint32_t*>(packet + layout.scales_offset());
    return {packet, layout.scales_bytes == 0 ? nullptr : scales, ScaleFormat::kNone};
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress fail(W& warp) {
    fail_corrupt(warp, args_->op, args_->op.rail_peer(node_));
    return end(warp);
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress credit(W& warp) {
    if (!ring_.credit(warp)) {
      return blocked(network_wait(channel_));
    }
    stage_ = Stage::kForward;
    return Progress::kAdvanced;
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress publish(W& warp) {
    sender_.flush(warp);
    for (int peer = 0; peer < args_->op.peers.num_ranks; ++peer) {
      sender_.publish(warp, peer);
    }
    return end(warp);
  }

  const DispatchArgs* args_;
  std::int32_t channel_;
  std::int32_t node_;
  RingConsumer ring_;
  RowSender sender_;
  Stage stage_ = Stage::kAwaitTurn;
  std::int32_t num_forwarded_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
