// Receive and accumulate of combine, with several nodes: for each token of its share, sums the rows
// of this node's ranks and what each other node sent, in the contract's order: one read per
// contribution, one write per token. One per channel.
#pragma once

#include <cstdint>

#include "csrc/protocol/combine_args.h"
#include "csrc/protocol/contributions.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/rail_ring.h"
#include "csrc/routing/term_order.h"

namespace switchyard::protocol {

class ReceiveAccumulate {
 public:
  static constexpr RoleKind kKind = RoleKind::kReceiveAccumulate;

  /// `tracks` [num_nodes], this node's unused: memory that lives as long as the role.
  SY_HOST_DEVICE ReceiveAccumulate(const CombineArgs* args, int channel, RingConsumer* tracks)
      : args_(args), channel_(channel), tracks_(tracks), contributions_(args, args->op.place.node) {
    const Share share = share_of(args->problem.num_tokens, channel, args->op.num_channels);
    token_ = static_cast<std::int32_t>(share.begin);
    end_token_ = static_cast<std::int32_t>(share.end);
    for (int node = 0; node < args->op.place.num_nodes; ++node) {
      tracks[node] = RingConsumer(&args->op,
                                  {node, channel, RingKind::kSums},
                                  args->previous_combine,
                                  args->rail_sum().packet_bytes());
    }
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    switch (stage_) {
      case Stage::kAwaitTurns:
        return await_turn(warp);
      case Stage::kAwaitPlacement:
        return await_placement(warp);
      case Stage::kAccumulate:
        return accumulate_chunk(warp);
      case Stage::kCredit:
        return credit(warp);
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t { kAwaitTurns, kAwaitPlacement, kAccumulate, kCredit, kDone };

  SY_HOST_DEVICE int num_nodes() const { return args_->op.place.num_nodes; }
  SY_HOST_DEVICE bool is_other(int node) const { return node != args_->op.place.node; }

  SY_HOST_DEVICE Progress enter(Stage stage) {
    stage_ = stage;
    node_ = 0;
    return Progress::kAdvanced;
  }
  SY_HOST_DEVICE Progress blocked(const WaitPoint& wait) {
    wait_ = wait;
    return Progress::kBlocked;
  }

  /// Hands the tracks to the next operation. An operation that fails does so before any sum comes.
  template <RailWarp W>
  SY_HOST_DEVICE Progress end(W& warp) {
    for (int node = 0; node < num_nodes(); ++node) {
      if (is_other(node)) {
        tracks_[node].end(warp);
      }
    }
    stage_ = Stage::kDone;
    return Progress::kDone;
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress await_turn(W& warp) {
    node_ += is_other(node_) ? 0 : 1;
    if (node_ >= num_nodes()) {
      return enter(Stage::kAwaitPlacement);
    }
    if (!tracks_[node_].begin(warp)) {
      return blocked(tracks_[node_].turn_wait());
    }
    ++node_;
    return Progress::kAdvanced;
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

  template <RailWarp W>
  SY_HOST_DEVICE Progress accumulate_chunk(W& warp) {
    if (operation_failed(warp, args_->op)) {
      return end(warp);
    }
    std::int32_t count = 0;
    for (; token_ < end_token_ && count < args_->chunk_tokens; ++token_, ++count) {
      read_token();
      const int missing = first_missing(warp);
      if (missing >= 0) {
        if (count == 0) {
          return blocked(tracks_[missing].packet_wait(WaitKind::kSums));
        }
        break;
      }
      const int wrong = accumulate(warp);
      if (wrong >= 0) {
        fail_corrupt(warp, args_->op, args_->op.rail_peer(wrong));
        return end(warp);
      }
    }
    if (count != 0) {
      return enter(Stage::kCredit);
    }
    publish_rows_read(warp, args_->op, channel_, args_->op.self());
    return end(warp);
  }

  /// Learns which nodes the token has rows on.
  SY_HOST_DEVICE void read_token() {
    const std::int64_t first = std::int64_t{token_} * args_->problem.topk;
    for (int k = 0; k < args_->problem.topk; ++k) {
      const std::int32_t rank = args_->routing.rank[first + k];
      node_of_[k] = rank < 0 ? -1 : args_->op.node_of(rank);
    }
  }
  SY_HOST_DEVICE bool closes_node(int k) const {
    return node_of_[k] >= 0 && routing::is_last_of(node_of_, args_->problem.topk, k);
  }

  /// A node whose sum for the token is not there yet, or -1.
  template <RailWarp W>
  SY_HOST_DEVICE int first_missing(W& warp) {
    for (int k = 0; k < args_->problem.topk; ++k) {
      const int node = node_of_[k];
      if (closes_node(k) && is_other(node) && !tracks_[node].has_packet(warp)) {
        return node;
      }
    }
    return -1;
  }

  /// Makes the token's sum: nodes in the order of their last top-k position. Returns a node that
  /// sent what cannot be, or -1.
  template <RailWarp W>
  SY_HOST_DEVICE int accumulate(W& warp) {
    TokenSum sum;
    begin_output(*args_, token_, sum);
    sum.reduction.by_node = true;
    float weights[kMaxTopk] = {};
    for (int k = 0; k < args_->problem.topk; ++k) {
      const int node = node_of_[k];
      if (!closes_node(k)) {
        continue;
      }
      if (!is_other(node)) {
        add_own_node(warp, sum, weights);
      } else if (!add_other_node(warp, node, sum, weights)) {
        return node;
      }
    }
    warp.reduce_rows(sum.reduction, args_->problem.copy_hint, nullptr);
    if (args_->problem.sums_topk_weights) {
      store_topk_weights(warp, *args_, token_, weights);
    }
    return -1;
  }

  template <RailWarp W>
  SY_HOST_DEVICE void add_own_node(W& warp, TokenSum& sum, float* weights) {
    TokenEntries entries;
    entries.read(args_->entries(), token_, args_->op.first_rank(), args_->op.peers.num_ranks);
    std::uint8_t order[kMaxTopk];
    const int num_terms = routing::order_terms(entries.rank, entries.opener, entries.num, order);
    contributions_.add_terms(warp, entries, order, num_terms, sum);
    if (args_->problem.sums_topk_weights) {
      float of_node[kMaxTopk] = {};
      contributions_.add_topk_weights(warp, entries, order, num_terms, of_node);
      for (int k = 0; k < entries.num; ++k) {
        weights[k] += of_node[k];
      }
    }
  }

  /// False when the sum is of another token, or its note not what the node sealed.
  template <RailWarp W>
  SY_HOST_DEVICE bool add_other_node(W& warp, int node, TokenSum& sum, float* weights) {
    const OperationArgs& op = args_->op;
    const RailSumLayout layout = args_->rail_sum();
    const std::byte* packet = tracks_[node].packet();
    const auto* note = reinterpret_cast<const std::uint32_t*>(packet + layout.row_bytes);
    if (tracks_[node].is_overrun() ||
        warp.sum_words(note, layout.note_words()) !=
            op.check(MessageKind::kSum, op.rail_peer(node), op.self()).value() ||
        warp.load_word(note + RailSumLayout::kTokenWord) != static_cast<std::uint32_t>(token_)) {
      return false;
    }
    Term term;
    term.row = packet;
    sum.add(term);
    for (std::uint32_t k = 0; k < layout.num_weights; ++k) {
      weights[k] +=
          TokenEntries::bits_float(warp.load_word(note + RailSumLayout::kFirstWeightWord + k));
    }
    tracks_[node].take();
    return true;
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress credit(W& warp) {
    while (node_ < num_nodes() && !(is_other(node_) && tracks_[node_].owes_credit())) {
      ++node_;
    }
    if (node_ >= num_nodes()) {
      return enter(Stage::kAccumulate);
    }
    if (!tracks_[node_].credit(warp)) {
      return blocked(network_wait(channel_));
    }
    ++node_;
    return Progress::kAdvanced;
  }

  const CombineArgs* args_;
  std::int32_t channel_;
  RingConsumer* tracks_;
  NodeContributions contributions_;
  Stage stage_ = Stage::kAwaitTurns;
  std::int32_t node_ = 0;
  std::int32_t token_ = 0;
  std::int32_t end_token_ = 0;
  std::int32_t node_of_[kMaxTopk];
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
