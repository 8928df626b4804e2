// Node relay: this rank's duty for the ranks of other nodes that it stands for. Tells the ranks of
// this node what each of them has (their hellos); and in a compact dispatch learns from this node's
// answers where their rows go, and tells each whether the node takes them (its verdict). One per rank
// and operation, with several nodes. A duty to others: it goes on when the operation fails here.
#pragma once

#include <cstdint>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/rail_post.h"

namespace switchyard::protocol {

class NodeRelay {
 public:
  static constexpr RoleKind kKind = RoleKind::kNodeRelay;

  /// Of a dispatch.
  SY_HOST_DEVICE explicit NodeRelay(const DispatchArgs* args) : op_(&args->op), dispatch_(args) {}
  /// Of a combine, whose hellos are all head.
  SY_HOST_DEVICE explicit NodeRelay(const OperationArgs* op) : op_(op) {}

  template <RailWarp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    node_ += node_ == op_->place.node ? 1 : 0;
    switch (stage_) {
      case Stage::kHellos:
        return relay_hello(warp);
      case Stage::kAnswers:
        return collect_answer(warp);
      case Stage::kVerdict:
        return send_verdict(warp);
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t { kHellos, kAnswers, kVerdict, kDone };

  SY_HOST_DEVICE int num_ranks() const { return op_->peers.num_ranks; }
  SY_HOST_DEVICE bool at_end() const { return node_ >= op_->place.num_nodes; }

  SY_HOST_DEVICE Progress enter(Stage stage) {
    stage_ = stage;
    return stage == Stage::kDone ? Progress::kDone : Progress::kAdvanced;
  }
  SY_HOST_DEVICE Progress blocked(const WaitPoint& wait) {
    wait_ = wait;
    return Progress::kBlocked;
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress relay_hello(W& warp) {
    if (at_end()) {
      return end_hellos(warp);
    }
    if (!post_arrived(warp, *op_, node_, PostKind::kHello)) {
      return blocked(post_wait(*op_, node_, WaitKind::kNodeHello));
    }
    MailboxCollector hello(op_->rail_peer(node_), op_->self());
    bool sound = true;
    const auto take = [&](std::uint32_t index, std::uint32_t value) {
      sound = take_count(index, value) && sound;
    };
    const Word* post = post_from(*op_, node_, PostKind::kHello);
    const bool whole = hello.read(warp, *op_, MessageKind::kRailHello, post, hello_words(), take);
    if (!whole || !sound || ends_group(hello.failure().kind)) {
      fail_corrupt(warp, *op_, op_->rail_peer(node_));
      return enter(Stage::kDone);
    }
    for (int peer = 0; peer < num_ranks(); ++peer) {
      post_hello(warp, peer, post, hello);
    }
    ++node_;
    return Progress::kAdvanced;
  }

  SY_HOST_DEVICE std::uint32_t hello_words() const {
    return dispatch_ == nullptr
               ? kNumHeadWords
               : rail_counts_word(
                     num_channels(), num_experts(), static_cast<std::uint32_t>(num_ranks()));
  }
  SY_HOST_DEVICE std::uint32_t num_channels() const {
    return static_cast<std::uint32_t>(op_->num_channels);
  }
  SY_HOST_DEVICE std::uint32_t num_experts() const {
    return static_cast<std::uint32_t>(dispatch_->problem.experts_per_rank);
  }

  /// Keeps what forwarding needs: packets to come, and what each rank or expert is to get of them.
  SY_HOST_DEVICE bool take_count(std::uint32_t index, std::uint32_t value) {
    const auto count = static_cast<std::int32_t>(value);
    const std::uint32_t word = index - kNumHeadWords;
    if (word < num_channels()) {
      dispatch_->relay.packets[node_ * op_->num_channels + static_cast<std::int32_t>(word)] = count;
      return count >= 0;
    }
    const std::uint32_t peer = (word - num_channels()) / (1 + num_experts());
    const std::uint32_t entry = (word - num_channels()) % (1 + num_experts());
    std::int32_t* rows = dispatch_->relay.rows_of(node_, dispatch_->bases_per_node());
    if (!dispatch_->problem.row_per_expert()) {
      rows[peer] = entry == 0 ? count : rows[peer];
    } else if (entry != 0) {
      rows[peer * num_experts() + entry - 1] = count;
    }
    return count >= 0;
  }

  /// In the source's name: its head, and its values for this peer. Of a source that issued another
  /// operation than this rank, the head alone; a peer that agrees with the source is told that.
  template <RailWarp W>
  SY_HOST_DEVICE void post_hello(W& warp,
                                 int peer,
                                 const Word* post,
                                 const MailboxCollector& hello) const {
    const int source = op_->rail_peer(node_);
    const bool disagrees = hello.failure().kind == FailureKind::kMismatch;
    MailboxHead head = hello.head();
    if (disagrees) {
      head.words[kStatusWord] = static_cast<std::uint32_t>(Status::kDisagrees);
    }
    MailboxWriter relayed(op_->hello_at(peer, source),
                          *op_,
                          op_->check(MessageKind::kHello, source, op_->rank_of(peer)),
                          head);
    const bool has_values = dispatch_ != nullptr && !disagrees;
    const std::uint32_t first =
        has_values
            ? rail_counts_word(num_channels(), num_experts(), static_cast<std::uint32_t>(peer))
            : 0;
    for (std::uint32_t i = 0; has_values && i < 1 + num_experts(); ++i) {
      relayed.put(warp, word_value(warp.load_relaxed(post + first + i)));
    }
    for (std::uint32_t i = kNumHeadWords; dispatch_ == nullptr && i < kNumAnnounceWords; ++i) {
      relayed.put(warp, 0);  // a rank of another node announces no rows here
    }
    relayed.post(warp);
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress end_hellos(W& warp) {
    if (dispatch_ == nullptr) {
      return enter(Stage::kDone);
    }
    node_ = 0;
    if (dispatch_->problem.layout != Layout::kPadded) {
      start_answers();
      return enter(Stage::kAnswers);
    }
    warp.store_release(&op_->flags->relayed, 1);  // pairs with Forward::await_placement
    return enter(Stage::kDone);
  }

  SY_HOST_DEVICE void start_answers() {
    node_ += node_ == op_->place.node ? 1 : 0;
    answers_ = MailboxCollector(op_->first_rank(), op_->rail_peer(node_));
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress collect_answer(W& warp) {
    if (at_end()) {
      warp.store_release(&op_->flags->relayed, 1);  // pairs with Forward::await_placement
      return enter(Stage::kDone);
    }
    const int peer = answers_.peer() - op_->first_rank();
    const std::int32_t bases = dispatch_->problem.bases_per_rank();
    const auto take = [&](std::uint32_t index, std::uint32_t value) {
      take_answer(peer, index, value);
    };
    if (!answers_.read(warp,
                       *op_,
                       MessageKind::kAnswer,
                       op_->answer_from(peer, node_),
                       kFirstBaseWord + static_cast<std::uint32_t>(bases),
                       take)) {
      if (will_not_come(warp)) {
        return enter(Stage::kDone);
      }
      return blocked(answers_.wait_point(WaitKind::kAnswer, *op_));
    }
    check_bases(peer);
    answers_.next_peer();
    if (peer + 1 < num_ranks()) {
      return Progress::kAdvanced;
    }
    if (ends_group(answers_.failure().kind)) {
      fail_corrupt(warp, *op_, answers_.failure().rank);
      return enter(Stage::kDone);
    }
    write_verdict(warp);
    return enter(Stage::kVerdict);
  }

  /// Ranks disagree on the operation: each of them sees it in the hellos, and nobody answers.
  template <RailWarp W>
  SY_HOST_DEVICE bool will_not_come(W& warp) const {
    // Pairs with CountExchange::post_answers, which comes before it fails on any answer.
    return operation_failed(warp, *op_) && warp.load_acquire(&op_->flags->answered) == 0;
  }

  SY_HOST_DEVICE void take_answer(int peer, std::uint32_t index, std::uint32_t value) {
    if (index == kNumRowsWord) {
      landing_rows_ = static_cast<std::int32_t>(value);
    } else if (index >= kFirstBaseWord) {
      bases_of(peer)[index - kFirstBaseWord] = static_cast<std::int32_t>(value);
    }
  }

  SY_HOST_DEVICE std::int32_t* bases_of(int peer) const {
    return dispatch_->placement.base_of(node_, dispatch_->bases_per_node()) +
           peer * dispatch_->problem.bases_per_rank();
  }

  /// Rows will be written where the answer says: they must lie within the peer's landing.
  SY_HOST_DEVICE void check_bases(int peer) {
    if (answers_.failed()) {
      return;
    }
    const std::int32_t num_bases = dispatch_->problem.bases_per_rank();
    const std::int32_t* rows =
        dispatch_->relay.rows_of(node_, dispatch_->bases_per_node()) + peer * num_bases;
    bool sound = landing_rows_ >= 0;
    for (std::int32_t i = 0; i < num_bases; ++i) {
      const std::int32_t base = bases_of(peer)[i];
      sound = sound && base >= 0 && base <= landing_rows_ - rows[i];
    }
    if (!sound) {
      answers_.note({FailureKind::kCorrupt, op_->rank_of(peer), 0, 0});
    }
  }

  template <RailWarp W>
  SY_HOST_DEVICE void write_verdict(W& warp) const {
    MailboxWriter verdict(post_to(*op_, node_, PostKind::kVerdict),
                          *op_,
                          op_->check(MessageKind::kVerdict, op_->self(), op_->rail_peer(node_)),
                          answers_.failure());
    verdict.put(warp, static_cast<std::uint32_t>(answers_.failure().rank));
    verdict.post(warp);
  }

  template <RailWarp W>
  SY_HOST_DEVICE Progress send_verdict(W& warp) {
    if (!send_post(warp, *op_, node_, PostKind::kVerdict, kNumVerdictWords + 1)) {
      return blocked(network_wait(0));
    }
    ++node_;
    start_answers();
    return enter(Stage::kAnswers);
  }

  const OperationArgs* op_;
  const DispatchArgs* dispatch_ = nullptr;
  Stage stage_ = Stage::kHellos;
  std::int32_t node_ = 0;
  MailboxCollector answers_;
  std::int32_t landing_rows_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
