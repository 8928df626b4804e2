// What every operation needs to meet its peers: where the mailboxes are, which epoch this is, how
// it may fail together. The arguments of dispatch and combine proper are in dispatch_args.h and
// combine_args.h.
#pragma once

#include <cstdint>

#include "csrc/protocol/control_block.h"
#include "csrc/protocol/message_check.h"
#include "csrc/protocol/peers.h"
#include "csrc/protocol/progress.h"

namespace switchyard::protocol {

/// An operation that all ranks issued and that cannot go on. Down to kOutputTooSmall every rank
/// learns of it: each ends it with the same failure, no row is lost, and the next operation works.
/// The others only this rank knows of, while peers may still write where it told them: they end the
/// group.
enum class FailureKind : std::uint32_t {
  kNone = 0,
  kMismatch,        ///< `rank` issued another operation
  kHeapTooSmall,    ///< `rank` has no room
  kOutputTooSmall,  ///< `rank`'s caller gave too little memory
  kCorrupt,         ///< `rank` sent a count or index that cannot be
  kDamaged,         ///< a message of `rank` does not have the check that its content makes
};

SY_HOST_DEVICE constexpr bool ends_group(FailureKind kind) {
  return kind == FailureKind::kCorrupt || kind == FailureKind::kDamaged;
}

struct Failure {
  FailureKind kind = FailureKind::kNone;
  std::int32_t rank = -1;
  /// Bytes of heap, or rows of the caller's memory. Of a damaged message: the check that its
  /// content makes, and the one that came with it
  std::uint64_t needed = 0;
  std::uint64_t available = 0;
};

/// Words through which the roles of one operation on one rank tell each other; in this rank's own
/// memory.
struct LocalFlags {
  Word placed =
      0;  ///< 1: sources know where their rows go / accumulators know where the contributions lie
  Word counted = 0;   ///< 1: this rank knows which rows it will get
  Word reserved = 0;  ///< 1: the copy-in region of a combine is there
  Word copied = 0;    ///< channels whose share of the copy-in is complete
  Word corrupt =
      0;  ///< 1 + the source whose metadata cannot be; with `failed`, in place of a Failure
  // With several nodes.
  Word cleared = 0;   ///< 1: every rank has taken the operation; packets may go, and are this one's
  Word answered = 0;  ///< 1: this rank has answered every source, and will get every answer
  Word relayed = 0;   ///< 1: this rank knows where the rows go that it forwards
  Word failed = 0;    ///< 1: every role leaves; `Failure` says why
};

/// One end of a track to or from another node, between operations (rail_ring.h).
struct RingEnd {
  Word turn = 0;      ///< number of the last operation that is done with it
  Word position = 0;  ///< where it left off
};
/// This rank's ends of the two tracks of one ring: where it produces, and where it consumes.
struct RingEnds {
  RingEnd producer;
  RingEnd consumer;
};

/// Content of the progress words of a combine: nothing more is to be said.
inline constexpr std::uint64_t kRowsRead = 1;

/// Where this rank's scale-up domain stands among all of the group.
struct NodePlace {
  std::int32_t node = 0;
  std::int32_t num_nodes = 1;
};

/// Handed to every role of one operation. Ranks are numbered in two ways: `peer` and `local` count
/// within this node (as Peers does), `source` and `rank` over the whole group, node by node; with
/// one node they are the same. A rank *stands* on its node for the ranks of other nodes that have
/// its place there: they reach this node through it alone.
/// Lifetime: owned by the runtime until all roles are done
struct OperationArgs {
  Peers peers;
  NodePlace place;
  ControlLayout control;
  std::uint64_t number = 0;     ///< of the operation, from 1; `epoch` is its tag
  std::uint64_t previous = 0;   ///< number of the operation before on this buffer, 0 for none
  std::uint32_t epoch = 0;      ///< epoch_tag of the operation: the tag of every mailbox word
  std::uint32_t signature = 0;  ///< hash of what all ranks must agree on
  std::int32_t num_channels = 1;
  RingEnds* ring_ends = nullptr;  ///< [RailLayout::num_rings], this rank's own, of all operations
  LocalFlags* flags = nullptr;
  Failure* failure = nullptr;  ///< written before flags->failed is released

  SY_HOST_DEVICE std::uint32_t slot() const { return slot_of(epoch); }
  SY_HOST_DEVICE std::uint32_t slot_of(std::uint32_t any_epoch) const {
    return any_epoch % control.num_slots;
  }
  SY_HOST_DEVICE int num_sources() const { return place.num_nodes * peers.num_ranks; }
  /// First rank of this node.
  SY_HOST_DEVICE int first_rank() const { return place.node * peers.num_ranks; }
  /// This rank among all.
  SY_HOST_DEVICE int self() const { return first_rank() + peers.rank; }
  SY_HOST_DEVICE int rank_of(int peer) const { return first_rank() + peer; }
  SY_HOST_DEVICE int node_of(int rank) const { return rank / peers.num_ranks; }
  SY_HOST_DEVICE bool is_here(int rank) const { return node_of(rank) == place.node; }
  /// The rank of `node` on this rank's rail.
  SY_HOST_DEVICE int rail_peer(int node) const { return node * peers.num_ranks + peers.rank; }
  /// Who acts for `rank` on this node, as a peer: itself, or whoever stands for it.
  SY_HOST_DEVICE int stand_in(int rank) const { return rank % peers.num_ranks; }

  SY_HOST_DEVICE RailLayout rails() const { return control.rails(); }

  /// Whom this rank waits for when it waits for what `rank` does on this node: that rank or whoever
  /// stands for it; -1, with several nodes, when that is this rank, whose own roles wait for others.
  SY_HOST_DEVICE int waits_for(int rank) const {
    const int peer = stand_in(rank);
    return peer == peers.rank && place.num_nodes > 1 ? -1 : rank_of(peer);
  }

  /// A mailbox of `peer` that this rank writes, for itself or for a source that it stands for.
  SY_HOST_DEVICE Word* hello_at(int peer) const { return hello_at(peer, self()); }
  SY_HOST_DEVICE Word* hello_at(int peer, int source) const {
    return word(peer, control.hello(slot(), source));
  }
  /// Answer to the rank of `node` that `peer` stands for.
  SY_HOST_DEVICE Word* answer_at(int peer) const { return answer_at(peer, place.node); }
  SY_HOST_DEVICE Word* answer_at(int peer, int node) const {
    return word(peer, control.answer(slot(), rail_peer(node)));
  }
  SY_HOST_DEVICE Word* progress_at(int peer, int channel) const {
    return progress_at(peer, channel, self());
  }
  SY_HOST_DEVICE Word* progress_at(int peer, int channel, int source) const {
    return word(peer, control.progress(slot(), source, channel));
  }
  SY_HOST_DEVICE Word* permit_at(int peer) const {
    return word(peer, control.permit(slot(), self()));
  }
  /// A mailbox of this rank, written by `source` or by whoever stands for it.
  SY_HOST_DEVICE Word* hello_from(int source) const {
    return word(peers.rank, control.hello(slot(), source));
  }
  /// Answer of `peer` to this rank, or to the rank of `node` that it stands for.
  SY_HOST_DEVICE Word* answer_from(int peer) const { return answer_from(peer, place.node); }
  SY_HOST_DEVICE Word* answer_from(int peer, int node) const {
    return word(peers.rank, control.answer(slot(), node * peers.num_ranks + peer));
  }
  SY_HOST_DEVICE Word* progress_from(int source, int channel) const {
    return word(peers.rank, control.progress(slot(), source, channel));
  }
  /// The permit of the operation `permit_epoch`, this one or an earlier one.
  SY_HOST_DEVICE Word* permit_from(int peer, std::uint32_t permit_epoch) const {
    return word(peers.rank, control.permit(slot_of(permit_epoch), rank_of(peer)));
  }

  /// The check of a message, before its content is added.
  SY_HOST_DEVICE MessageCheck check(MessageKind kind, int source, int destination) const {
    return {kind, epoch, source, destination};
  }
  /// The same for a message to or from a peer.
  SY_HOST_DEVICE MessageCheck check_to(int peer, MessageKind kind) const {
    return check(kind, self(), rank_of(peer));
  }
  SY_HOST_DEVICE MessageCheck check_from(int peer, MessageKind kind) const {
    return check(kind, rank_of(peer), self());
  }
  /// What the words of a row's metadata add up to, modulo 2^32, when `source` wrote them. A sum, so
  /// that many rows are checked at once; one flipped bit changes it.
  SY_HOST_DEVICE std::uint32_t metadata_sum(int source) const {
    return MessageCheck(MessageKind::kMetadata, epoch, source, 0).value();
  }
  /// What progress_at and progress_from hold when `channel` of the source is done. The content is
  /// known to both sides, so that its check can stand for it.
  SY_HOST_DEVICE Word progress_word(MessageCheck check, int channel, std::uint64_t content) const {
    check.add(static_cast<std::uint32_t>(channel));
    check.add(static_cast<std::uint32_t>(content));
    return make_word(epoch, check.value());
  }

 private:
  SY_HOST_DEVICE Word* word(int owner, std::uint64_t offset) const {
    return reinterpret_cast<Word*>(peers.at(owner, offset));
  }
};

/// The share of `count` items that channel `channel` of `num_channels` handles: [begin, end).
struct Share {
  std::int64_t begin;
  std::int64_t end;
};
SY_HOST_DEVICE constexpr Share share_of(std::int64_t count, int channel, int num_channels) {
  return {count * channel / num_channels, count * (channel + 1) / num_channels};
}

}  // namespace switchyard::protocol
