// Posting to and reading from mailboxes: tagged words, complete when every word carries the tag.
// Nobody waits here: a read that finds a word missing returns false and is tried again at the next
// step.
#pragma once

#include <cstdint>

#include "csrc/protocol/operation.h"
#include "csrc/protocol/warp.h"

namespace switchyard::protocol {

/// Writes the head of a hello or an answer, after its other words.
/// Ordering: releases everything this warp stored or acquired before, regions that peers may write
/// and rows that they may read among it
template <Warp W>
SY_HOST_DEVICE void post_head(W& warp,
                              Word* mailbox,
                              const OperationArgs& op,
                              const Failure& refusal) {
  const bool heap = refusal.kind == FailureKind::kHeapTooSmall;
  const Status status = refusal.kind == FailureKind::kNone ? Status::kAccepted
                        : heap                             ? Status::kHeapTooSmall
                                                           : Status::kOutputTooSmall;
  const std::uint64_t unit = heap ? kRegionUnit : 1;
  const auto post = [&](HeadWord index, std::uint64_t value) {
    warp.store_relaxed(mailbox + index, make_word(op.epoch, static_cast<std::uint32_t>(value)));
  };
  post(kSignatureWord, op.signature);
  post(kStatusWord, static_cast<std::uint32_t>(status));
  post(kNeededWord, round_up(refusal.needed, unit) / unit);
  const auto available = static_cast<std::uint32_t>(refusal.available / unit);
  // The last word of a mailbox: hands over whatever the others speak of. Pairs with
  // MailboxCollector::read.
  warp.store_release(mailbox + kFreeWord, make_word(op.epoch, available));
}

/// Reads the peers' mailboxes of one kind, one peer after the other in rank order, over as many
/// steps as it takes. Checks the heads and keeps the first refusal, so that every rank reports the
/// same one. Goes on after a refusal: having heard from every rank is what frees the slots of
/// earlier operations.
class MailboxCollector {
 public:
  /// Reads the current peer's words [0, end) of `mailbox`, handing those after the head to
  /// `take(index, value)`. True when complete. Behind the head of a rank that issued another
  /// operation lies nothing to wait for.
  template <Warp W, class Take>
  SY_HOST_DEVICE bool read(
      W& warp, const OperationArgs& op, const Word* mailbox, std::uint32_t end, Take take) {
    while (cursor_ < end && !(cursor_ == kNumHeadWords && mismatch_)) {
      // Pairs with post_head: regions and rows that the words speak of are the reader's to use.
      const Word word = cursor_ == kFreeWord ? warp.load_acquire(mailbox + cursor_)
                                             : warp.load_relaxed(mailbox + cursor_);
      if (word_tag(word) != op.epoch) {
        seen_ = word;
        return false;
      }
      if (cursor_ < kNumHeadWords) {
        take_head(op, word_value(word));
      } else {
        take(cursor_, word_value(word));
      }
      ++cursor_;
    }
    return true;
  }

  SY_HOST_DEVICE std::int32_t peer() const { return peer_; }
  SY_HOST_DEVICE void next_peer() {
    ++peer_;
    cursor_ = 0;
    mismatch_ = false;
  }

  /// Keeps `failure` if it is the first.
  SY_HOST_DEVICE void note(const Failure& failure) {
    if (!failed()) {
      failure_ = failure;
    }
  }
  SY_HOST_DEVICE bool failed() const { return failure_.kind != FailureKind::kNone; }
  SY_HOST_DEVICE const Failure& failure() const { return failure_; }

  SY_HOST_DEVICE WaitPoint wait_point(WaitKind kind, const OperationArgs& op) const {
    return {kind, peer_, 0, make_word(op.epoch, 0), seen_};
  }

 private:
  SY_HOST_DEVICE void take_head(const OperationArgs& op, std::uint32_t value) {
    if (cursor_ == kSignatureWord) {
      mismatch_ = value != op.signature;
      if (mismatch_) {
        note({FailureKind::kMismatch, peer_, op.signature, value});
      }
    } else if (cursor_ == kStatusWord) {
      status_ = static_cast<Status>(value);
    } else if (cursor_ == kNeededWord) {
      needed_ = value;
    } else {
      note_refusal(value);
    }
  }

  SY_HOST_DEVICE void note_refusal(std::uint32_t available) {
    if (status_ == Status::kHeapTooSmall) {
      note({FailureKind::kHeapTooSmall, peer_, needed_ * kRegionUnit, available * kRegionUnit});
    } else if (status_ == Status::kOutputTooSmall) {
      note({FailureKind::kOutputTooSmall, peer_, needed_, available});
    } else if (status_ != Status::kAccepted) {
      note({FailureKind::kCorrupt, peer_, static_cast<std::uint64_t>(status_), 0});
    }
  }

  std::int32_t peer_ = 0;
  std::uint32_t cursor_ = 0;
  bool mismatch_ = false;
  Status status_ = Status::kAccepted;
  std::uint64_t needed_ = 0;
  Word seen_ = 0;
  Failure failure_;
};

/// Ends the operation on this rank: every role leaves at its next step.
template <Warp W>
SY_HOST_DEVICE void fail_operation(W& warp, const OperationArgs& op, const Failure& failure) {
  *op.failure = failure;
  warp.store_release(&op.flags->failed, 1);  // pairs with operation_failed()
}

template <Warp W>
SY_HOST_DEVICE bool operation_failed(W& warp, const OperationArgs& op) {
  return warp.load_acquire(&op.flags->failed) != 0;
}

}  // namespace switchyard::protocol
