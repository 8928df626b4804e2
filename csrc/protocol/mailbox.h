// Posting to and reading from mailboxes: tagged words, complete when every word carries the tag.
// Nobody waits here: a read that finds a word missing returns false and is tried again at the next
// step.
#pragma once

#include <cstdint>

#include "csrc/protocol/operation.h"
#include "csrc/protocol/warp.h"

namespace switchyard::protocol {

/// The words at the front of a hello or an answer.
struct MailboxHead {
  std::uint32_t words[kHeadCheckWord] = {};

  MailboxHead() = default;
  /// What this rank says of itself.
  SY_HOST_DEVICE MailboxHead(const OperationArgs& op, const Failure& refusal) {
    const bool heap = refusal.kind == FailureKind::kHeapTooSmall;
    const Status status = refusal.kind == FailureKind::kNone ? Status::kAccepted
                          : heap                             ? Status::kHeapTooSmall
                                                             : Status::kOutputTooSmall;
    const std::uint64_t unit = heap ? kRegionUnit : 1;
    words[kSignatureWord] = op.signature;
    words[kStatusWord] = static_cast<std::uint32_t>(status);
    words[kNeededWord] = static_cast<std::uint32_t>(round_up(refusal.needed, unit) / unit);
    words[kFreeWord] = static_cast<std::uint32_t>(refusal.available / unit);
  }
};

/// Writes one hello or answer: its values in order, then its head. Each has a check of its own,
/// since some readers go no further than the head.
class MailboxWriter {
 public:
  SY_HOST_DEVICE MailboxWriter(Word* mailbox,
                               const OperationArgs& op,
                               MessageCheck check,
                               const MailboxHead& head)
      : mailbox_(mailbox), epoch_(op.epoch), check_(check), head_(head) {
    for (const std::uint32_t value : head.words) {
      check.add(value);
    }
    head_check_ = check.value();
  }
  SY_HOST_DEVICE MailboxWriter(Word* mailbox,
                               const OperationArgs& op,
                               MessageCheck check,
                               const Failure& refusal)
      : MailboxWriter(mailbox, op, check, MailboxHead(op, refusal)) {}

  /// The next value behind the head.
  template <Warp W>
  SY_HOST_DEVICE void put(W& warp, std::uint64_t value) {
    check_.add(static_cast<std::uint32_t>(value));
    store(warp, next_++, static_cast<std::uint32_t>(value));
  }

  /// Ordering: releases everything this warp stored or acquired before, regions that peers may
  /// write and rows that they may read among it
  template <Warp W>
  SY_HOST_DEVICE void post(W& warp) {
    store(warp, next_, check_.value());
    for (std::uint32_t index = 0; index < kHeadCheckWord; ++index) {
      store(warp, index, head_.words[index]);
    }
    // The last word of a mailbox: hands over whatever the others speak of. Pairs with
    // MailboxCollector::read.
    warp.store_release(mailbox_ + kHeadCheckWord, make_word(epoch_, head_check_));
  }

 private:
  template <Warp W>
  SY_HOST_DEVICE void store(W& warp, std::uint32_t index, std::uint32_t value) {
    warp.store_relaxed(mailbox_ + index, make_word(epoch_, value));
  }

  Word* mailbox_;
  std::uint32_t epoch_;
  MessageCheck check_;
  MailboxHead head_;
  std::uint32_t head_check_ = 0;
  std::uint32_t next_ = kNumHeadWords;
};

/// Reads the mailboxes of one kind, one rank's after the other in their order, over as many steps
/// as it takes. Checks the heads and keeps the first refusal, so that every rank reports the
/// same one. Goes on after a refusal: having heard from every rank is what frees the slots of
/// earlier operations.
class MailboxCollector {
 public:
  MailboxCollector() = default;
  /// Of messages that a rank on this rank's rail is to get, from `first` on.
  SY_HOST_DEVICE MailboxCollector(int first, int addressee) : peer_(first), addressee_(addressee) {}

  /// Reads the current peer's words [0, end) of `mailbox`, and the check behind them, handing those
  /// after the head to `take(index, value)`. True when complete; whoever uses what was taken looks
  /// whether failed() first. Behind the head of a rank that issued another operation lies nothing
  /// to wait for, nor behind a damaged one.
  template <Warp W, class Take>
  SY_HOST_DEVICE bool read(W& warp,
                           const OperationArgs& op,
                           MessageKind kind,
                           const Word* mailbox,
                           std::uint32_t end,
                           Take take) {
    while (cursor_ <= end && !(cursor_ == kNumHeadWords && ends_at_head_)) {
      // Pairs with MailboxWriter::post: regions and rows that the words speak of are the reader's
      // to use.
      const Word word = cursor_ == kHeadCheckWord ? warp.load_acquire(mailbox + cursor_)
                                                  : warp.load_relaxed(mailbox + cursor_);
      if (word_tag(word) != op.epoch) {
        seen_ = word;
        return false;
      }
      const std::uint32_t value = word_value(word);
      if (cursor_ == 0 || cursor_ == kNumHeadWords) {
        check_ = op.check(kind, peer_, addressee_ < 0 ? op.self() : addressee_);
      }
      if (cursor_ == kHeadCheckWord) {
        take_head(op, value);
      } else if (cursor_ == end) {
        (void)is_intact(value);
      } else {
        check_.add(value);
        if (cursor_ < kHeadCheckWord) {
          head_.words[cursor_] = value;
        } else {
          take(cursor_, value);
        }
      }
      ++cursor_;
    }
    return true;
  }

  /// The rank whose mailbox is read now, among all ranks.
  SY_HOST_DEVICE std::int32_t peer() const { return peer_; }
  SY_HOST_DEVICE void next_peer() { go_to(peer_ + 1); }
  SY_HOST_DEVICE void go_to(int peer) {
    peer_ = peer;
    cursor_ = 0;
    ends_at_head_ = false;
  }

  /// Keeps `failure` if it is the first.
  SY_HOST_DEVICE void note(const Failure& failure) {
    if (!failed()) {
      failure_ = failure;
    }
  }
  SY_HOST_DEVICE bool failed() const { return failure_.kind != FailureKind::kNone; }
  SY_HOST_DEVICE const Failure& failure() const { return failure_; }
  /// Of the mailbox that was read last.
  SY_HOST_DEVICE const MailboxHead& head() const { return head_; }

  /// Names whoever writes the mailbox.
  SY_HOST_DEVICE WaitPoint wait_point(WaitKind kind, const OperationArgs& op) const {
    return {kind, op.waits_for(peer_), 0, make_word(op.epoch, 0), seen_};
  }

 private:
  /// Notes a check that the words before it do not make.
  SY_HOST_DEVICE bool is_intact(std::uint32_t check) {
    const bool intact = check == check_.value();
    if (!intact) {
      note({FailureKind::kDamaged, peer_, check_.value(), check});
    }
    return intact;
  }

  SY_HOST_DEVICE void take_head(const OperationArgs& op, std::uint32_t check) {
    const std::uint32_t signature = head_.words[kSignatureWord];
    if (!is_intact(check)) {
      ends_at_head_ = true;
    } else if (signature != op.signature) {
      ends_at_head_ = true;
      note({FailureKind::kMismatch, peer_, op.signature, signature});
    } else if (head_.words[kStatusWord] == static_cast<std::uint32_t>(Status::kDisagrees)) {
      ends_at_head_ = true;
      note({FailureKind::kMismatch, op.rank_of(op.stand_in(peer_)), op.signature, signature});
    } else {
      note_refusal();
    }
  }

  SY_HOST_DEVICE void note_refusal() {
    const auto status = static_cast<Status>(head_.words[kStatusWord]);
    const std::uint64_t needed = head_.words[kNeededWord];
    const std::uint64_t available = head_.words[kFreeWord];
    if (status == Status::kHeapTooSmall) {
      note({FailureKind::kHeapTooSmall, peer_, needed * kRegionUnit, available * kRegionUnit});
    } else if (status == Status::kOutputTooSmall) {
      note({FailureKind::kOutputTooSmall, peer_, needed, available});
    } else if (status != Status::kAccepted) {
      note({FailureKind::kCorrupt, peer_, static_cast<std::uint64_t>(status), 0});
    }
  }

  std::int32_t peer_ = 0;
  std::int32_t addressee_ = -1;  // this rank
  std::uint32_t cursor_ = 0;
  MessageCheck check_;
  MailboxHead head_;
  bool ends_at_head_ = false;
  Word seen_ = 0;
  Failure failure_;
};

/// Ends the operation on this rank: every role leaves at its next step.
template <Warp W>
SY_HOST_DEVICE void fail_operation(W& warp, const OperationArgs& op, const Failure& failure) {
  *op.failure = failure;
  warp.store_release(&op.flags->failed, 1);  // pairs with operation_failed()
}

/// The same for roles of which several may fail at once: what came from `rank` cannot be.
template <Warp W>
SY_HOST_DEVICE void fail_corrupt(W& warp, const OperationArgs& op, int rank) {
  warp.store_release(&op.flags->corrupt, static_cast<Word>(rank) + 1);
  warp.store_release(&op.flags->failed, 1);  // pairs with operation_failed()
}

template <Warp W>
SY_HOST_DEVICE bool operation_failed(W& warp, const OperationArgs& op) {
  return warp.load_acquire(&op.flags->failed) != 0;
}

}  // namespace switchyard::protocol
