// Posts between rail peers: mailboxes that travel whole over the network, and what stands in them:
// the hello of a rank to another node, and that node's verdict.
#pragma once

#include <cstdint>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/warp.h"

namespace switchyard::protocol {

/// Where this rank writes a post to the rail peer on `node`, and where it reads one from there.
SY_HOST_DEVICE inline Word* post_to(const OperationArgs& op, int node, PostKind kind) {
  return reinterpret_cast<Word*>(op.peers.local(op.rails().post_out(node, op.slot(), kind)));
}
SY_HOST_DEVICE inline Word* post_from(const OperationArgs& op, int node, PostKind kind) {
  return reinterpret_cast<Word*>(op.peers.local(op.rails().post_in(node, op.slot(), kind)));
}

/// Sends the first `num_words` words of post_to(). False when the way to the network is full.
/// Ordering: pairs with post_arrived()
template <RailWarp W>
SY_HOST_DEVICE bool send_post(
    W& warp, const OperationArgs& op, int node, PostKind kind, std::uint64_t num_words) {
  const RailLayout rails = op.rails();
  const RailPut put{rails.post_out(node, op.slot(), kind),
                    rails.post_in(op.place.node, op.slot(), kind),
                    round_up(num_words * sizeof(Word), kPartAlignment),
                    rails.arrival(op.place.node, op.slot(), kind),
                    op.number};
  return warp.put(post_track(node), put);
}

template <RailWarp W>
SY_HOST_DEVICE bool post_arrived(W& warp, const OperationArgs& op, int node, PostKind kind) {
  // Pairs with send_post() of the rail peer: the words are there.
  return warp.load_acquire(reinterpret_cast<const Word*>(
             op.peers.local(op.rails().arrival(node, op.slot(), kind)))) == op.number;
}

SY_HOST_DEVICE inline WaitPoint post_wait(const OperationArgs& op, int node, WaitKind kind) {
  return {kind, op.rail_peer(node), 0, op.number, 0};
}

/// Sends this rank's hello to every other node, over as many steps as it takes.
class RailHellos {
 public:
  SY_HOST_DEVICE bool done(const OperationArgs& op) const {
    const bool only_own_is_left = op.place.node + 1 == op.place.num_nodes && node_ == op.place.node;
    return node_ >= op.place.num_nodes || only_own_is_left;
  }

  /// Call until done(). `fill(writer, node)` puts the values behind the head. Blocked: network_wait(0)
  template <RailWarp W, class Fill>
  SY_HOST_DEVICE Progress send(W& warp,
                               const OperationArgs& op,
                               const Failure& refusal,
                               std::uint64_t num_words,
                               Fill fill) {
    node_ += node_ == op.place.node ? 1 : 0;
    if (!written_) {
      MailboxWriter hello(post_to(op, node_, PostKind::kHello),
                          op,
                          op.check(MessageKind::kRailHello, op.self(), op.rail_peer(node_)),
                          refusal);
      fill(hello, node_);
      hello.post(warp);
      written_ = true;
      return Progress::kAdvanced;
    }
    if (!send_post(warp, op, node_, PostKind::kHello, num_words)) {
      return Progress::kBlocked;
    }
    ++node_;
    written_ = false;
    return Progress::kAdvanced;
  }

 private:
  std::int32_t node_ = 0;
  bool written_ = false;
};

/// Reads the verdict of a node on a dispatch. True when it is there; what is bad about it is noted
/// in `failures`.
template <RailWarp W>
SY_HOST_DEVICE bool read_verdict(W& warp,
                                 const OperationArgs& op,
                                 int node,
                                 MailboxCollector& failures) {
  if (!post_arrived(warp, op, node, PostKind::kVerdict)) {
    return false;
  }
  MailboxCollector verdict(op.rail_peer(node), op.self());
  std::int32_t refuser = -1;
  const auto take = [&](std::uint32_t, std::uint32_t value) {
    refuser = static_cast<std::int32_t>(value);
  };
  const Word* post = post_from(op, node, PostKind::kVerdict);
  if (!verdict.read(warp, op, MessageKind::kVerdict, post, kNumVerdictWords, take)) {
    verdict.note({FailureKind::kDamaged, op.rail_peer(node), op.epoch, 0});
  }
  Failure failure = verdict.failure();
  if (verdict.failed() && !ends_group(failure.kind)) {
    const int first = node * op.peers.num_ranks;
    const bool sound = refuser >= first && refuser < first + op.peers.num_ranks;
    failure.rank = sound ? refuser : failure.rank;
    failure.kind = sound ? failure.kind : FailureKind::kCorrupt;
  }
  if (verdict.failed()) {
    failures.note(failure);
  }
  return true;
}

}  // namespace switchyard::protocol
