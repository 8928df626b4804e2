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
  Word failed = 0;  ///< 1: every role leaves; `Failure` says why
};

/// Content of the progress words of a combine: nothing more is to be said.
inline constexpr std::uint64_t kRowsRead = 1;

/// Handed to every role of one operation.
/// Lifetime: owned by the runtime until all roles are done
struct OperationArgs {
  Peers peers;
  ControlLayout control;
  std::uint32_t epoch = 0;      ///< epoch_tag of the operation: the tag of every mailbox word
  std::uint32_t signature = 0;  ///< hash of what all ranks must agree on
  std::int32_t num_channels = 1;
  LocalFlags* flags = nullptr;
  Failure* failure = nullptr;  ///< written before flags->failed is released

  SY_HOST_DEVICE std::uint32_t slot() const { return slot_of(epoch); }
  SY_HOST_DEVICE std::uint32_t slot_of(std::uint32_t any_epoch) const {
    return any_epoch % control.num_slots;
  }
  /// A mailbox of `peer` that this rank writes.
  SY_HOST_DEVICE Word* hello_at(int peer) const {
    return word(peer, control.hello(slot(), peers.rank));
  }
  SY_HOST_DEVICE Word* answer_at(int peer) const {
    return word(peer, control.answer(slot(), peers.rank));
  }
  SY_HOST_DEVICE Word* progress_at(int peer, int channel) const {
    return word(peer, control.progress(slot(), peers.rank, channel));
  }
  SY_HOST_DEVICE Word* permit_at(int peer) const {
    return word(peer, control.permit(slot(), peers.rank));
  }
  /// A mailbox of this rank that `peer` writes.
  SY_HOST_DEVICE Word* hello_from(int peer) const {
    return word(peers.rank, control.hello(slot(), peer));
  }
  SY_HOST_DEVICE Word* answer_from(int peer) const {
    return word(peers.rank, control.answer(slot(), peer));
  }
  SY_HOST_DEVICE Word* progress_from(int peer, int channel) const {
    return word(peers.rank, control.progress(slot(), peer, channel));
  }
  /// The permit of the operation `permit_epoch`, this one or an earlier one.
  SY_HOST_DEVICE Word* permit_from(int peer, std::uint32_t permit_epoch) const {
    return word(peers.rank, control.permit(slot_of(permit_epoch), peer));
  }

  /// The check of a message from or to `peer`, before its content is added.
  SY_HOST_DEVICE MessageCheck check_to(int peer, MessageKind kind) const {
    return {kind, epoch, peers.rank, peer};
  }
  SY_HOST_DEVICE MessageCheck check_from(int peer, MessageKind kind) const {
    return {kind, epoch, peer, peers.rank};
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
