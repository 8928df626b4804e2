// Forward and accumulate of combine: for each packet of a rank of another node, sums the rows that
// this node's ranks hold for that token, in the contract's order, and puts the sum into the track
// back. One per channel and other node.
#pragma once

#include <cstdint>

#include "csrc/protocol/combine_args.h"
#include "csrc/protocol/contributions.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/rail_ring.h"
#include "csrc/routing/term_order.h"

namespace switchyard::protocol {

class ForwardAccumulate {
 public:
  static constexpr RoleKind kKind = RoleKind::kForwardAccumulate;

  SY_HOST_DEVICE ForwardAccumulate(const CombineArgs* args, int channel, int node)
      : args_(args),
        channel_(channel),
        node_(node),
        packets_(&args->op,
                 {node, channel, RingKind::kPackets},
                 args->op.previous,
                 args->rail_packet().packet_bytes()),
        sums_(&args->op,
              {node, channel, RingKind::kSums},
              args->previous_combine,
              args->rail_sum().packet_bytes()),
        contributions_(args, node) {}

  template <RailWarp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    switch (stage_) {
      case Stage::kAwaitPacketTurn:
        return packets_.begin(warp) ? enter(Stage::kAwaitSumTurn) : blocked(packets_.turn_wait());
      case Stage::kAwaitSumTurn:
        return sums_.begin(warp) ? enter(Stage::kAwaitPlacement) : blocked(sums_.turn_wait());
      case Stage::kAwaitPlacement:
        return await_placement(warp);
      case Stage::kAccumulate:
        return accumulate_chunk(warp);
      case Stage::kPut:
        return sums_.publish(warp) ? enter(Stage::kCredit) : blocked(network_wait(channel_));
      case Stage::kCredit:
        return packets_.credit(warp) ? enter(Stage::kAccumulate) : blocked(network_wait(channel_));
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t {
    kAwaitPacketTurn,
    kAwaitSumTurn,
    kAwaitPlacement,
    kAccumulate,
    kPut,
    kCredit,
    kDone
  };

  SY_HOST_DEVICE Progress enter(Stage stage) {
    stage_ = stage;
    return Progress::kAdvanced;
  }
  SY_HOST_DEVICE Progress blocked(const WaitPoint& wait) {
    wait_ = wait;
    return Progress::kBlocked;
  }

  /// Hands the tracks to the next operation. An operation that fails does so before any packet
  /// comes.
  template <RailWarp W>
  SY_HOST_DEVICE Progress end(W& warp) {
    packets_.end(warp);
    sums_.end(warp);
    stage_ = Stage::kDone;
    return Progress::kDone;
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress await_placement(W& warp) {
    if (operation_failed(warp, args_->op)) {
      return end(warp);
    }
    // Pairs with CombineAnnounce::collect: every rank's rows are visible and their offsets written.
    const Word placed = warp.load_acquire(&args_->op.flags->placed);
    if (placed == 0) {
      return blocked({WaitKind::kLocalRole, -1, channel_, 1, placed});
    }
    return enter(Stage::kAccumulate);
  }

  SY_HOST_DEVICE std::int32_t packets_left() const {
    return args_->relay.packets[node_ * args_->op.num_channels + channel_] - num_summed_;
  }

  /// Sums until the chunk is full, the track back is, or no packet is there.
  template <RailWarp W>
  SY_HOST_DEVICE Progress accumulate_chunk(W& warp) {
    if (operation_failed(warp, args_->op)) {
      return end(warp);
    }
    bool has_room = true;
    while (packets_left() != 0 && sums_.num_unpublished() < args_->chunk_packets &&
           packets_.has_packet(warp)) {
      has_room = sums_.has_room(warp);
      if (!has_room) {
        break;
      }
      if (packets_.is_overrun() || !accumulate(warp)) {
        fail_corrupt(warp, args_->op, args_->op.rail_peer(node_));
        return end(warp);
      }
      packets_.take();
      ++num_summed_;
    }
    if (sums_.num_unpublished() != 0) {
      return enter(Stage::kPut);
    }
    if (packets_left() != 0) {
      return blocked(has_room ? packets_.packet_wait(WaitKind::kPackets) : sums_.room_wait());
    }
    publish_rows_read(warp, args_->op, channel_, args_->op.rail_peer(node_));
    return end(warp);
  }

  /// False when the packet is not what its sender sealed, or cannot be.
  template <RailWarp W>
  SY_HOST_DEVICE bool accumulate(W& warp) {
    const OperationArgs& op = args_->op;
    const int source = op.rail_peer(node_);
    RelayedToken token;
    if (!token.read(warp,
                    packets_.packet(),
                    args_->rail_packet(),
                    args_->route_bounds(node_),
                    op.check(MessageKind::kPacket, source, op.self()).value()) ||
        !token.entries.any()) {
      return false;
    }
    std::byte* packet = sums_.fill();
    std::uint8_t order[kMaxTopk];
    const int num_terms =
        routing::order_terms(token.entries.rank, token.opener, token.entries.num, order);
    TokenSum sum;
    sum.begin(args_->problem, packet);
    contributions_.add_terms(warp, token.entries, order, num_terms, sum);
    warp.reduce_rows(sum.reduction, args_->problem.copy_hint, nullptr);
    write_note(warp, packet + args_->rail_sum().row_bytes, token.entries, order, num_terms);
    return true;
  }

  template <RailWarp W>
  SY_HOST_DEVICE void write_note(W& warp,
                                 std::byte* to,
                                 const TokenEntries& entries,
                                 const std::uint8_t* order,
                                 int num_terms) {
    const RailSumLayout layout = args_->rail_sum();
    std::uint32_t words[kMaxNoteWords] = {};
    words[RailSumLayout::kTokenWord] = static_cast<std::uint32_t>(entries.token);
    if (args_->problem.sums_topk_weights) {
      float sums[kMaxTopk] = {};
      contributions_.add_topk_weights(warp, entries, order, num_terms, sums);
      for (std::uint32_t k = 0; k < layout.num_weights; ++k) {
        words[RailSumLayout::kFirstWeightWord + k] = TokenEntries::float_bits(sums[k]);
      }
    }
    const OperationArgs& op = args_->op;
    protocol::store_note(warp,
                         to,
                         layout,
                         words,
                         op.check(MessageKind::kSum, op.self(), op.rail_peer(node_)).value());
  }

  const CombineArgs* args_;
  std::int32_t channel_;
  std::int32_t node_;
  RingConsumer packets_;
  RingProducer sums_;
  NodeContributions contributions_;
  Stage stage_ = Stage::kAwaitPacketTurn;
  std::int32_t num_summed_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
