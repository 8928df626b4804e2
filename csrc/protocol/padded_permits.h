// Leave to write into padded regions. A destination gives it at the start of a padded dispatch and,
// for the one after, already when the rows of the last are released, so that in a steady run no
// sender waits.
#pragma once

#include <cstdint>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/mailbox.h"

namespace switchyard::protocol {

SY_HOST_DEVICE constexpr MessageKind permit_kind(PermitWord first) {
  return first == kPermitSignatureWord ? MessageKind::kPermit : MessageKind::kNextPermit;
}
SY_HOST_DEVICE constexpr MessageCheck permit_check(MessageCheck check,
                                                   std::uint32_t signature,
                                                   std::uint32_t region) {
  check.add(signature);
  check.add(region);
  return check;
}

/// Gives every peer leave to fill `region` of this rank. `first` is kPermitSignatureWord (this
/// dispatch) or kNextSignatureWord (the padded dispatch after it); region and check follow it.
/// Ordering: releases the signature word behind the other two; pairs with
/// PermitCollector::read_permit.
template <Warp W>
SY_HOST_DEVICE void post_permits(W& warp,
                                 const DispatchArgs& args,
                                 std::uint64_t region,
                                 PermitWord first) {
  for (int peer = 0; peer < args.op.peers.num_ranks; ++peer) {
    Word* permit = args.op.permit_at(peer) + first;
    const auto value = static_cast<std::uint32_t>(region / kRegionUnit);
    const MessageCheck check =
        permit_check(args.op.check_to(peer, permit_kind(first)), args.padded.signature, value);
    warp.store_relaxed(permit + 1, make_word(args.op.epoch, value));
    warp.store_relaxed(permit + 2, make_word(args.op.epoch, check.value()));
    warp.store_release(permit, make_word(args.op.epoch, args.padded.signature));
  }
}

/// Learns the padded region of every destination that gets rows from this rank, over as many steps
/// as it takes; with several nodes, of every one, since other sources may have rows for it.
class PermitCollector {
 public:
  enum class Outcome : std::uint8_t {
    kComplete,
    kBlocked,
    kWillNotCome,  ///< a peer refused or issued another operation: its head says so
  };

  /// Writes the regions into args.placement (rows and bases of padded places are fixed); notes a
  /// region that cannot be in `failures`.
  template <Warp W>
  SY_HOST_DEVICE Outcome collect(W& warp, const DispatchArgs& args, MailboxCollector& failures) {
    for (; peer_ < args.op.peers.num_ranks; ++peer_) {
      const bool none_needed =
          args.op.place.num_nodes == 1 && args.routing.rows_per_rank[peer_] == 0;
      if (none_needed ||
          read_permit(warp, args, args.padded.previous_epoch, kNextSignatureWord, failures) ||
          read_permit(warp, args, args.op.epoch, kPermitSignatureWord, failures)) {
        continue;
      }
      if (will_not_come(warp, args)) {
        return Outcome::kWillNotCome;
      }
      wait_ = {WaitKind::kPermit,
               args.op.rank_of(peer_),
               0,
               make_word(args.op.epoch, args.padded.signature),
               0};
      return Outcome::kBlocked;
    }
    return Outcome::kComplete;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  template <Warp W>
  SY_HOST_DEVICE bool read_permit(W& warp,
                                  const DispatchArgs& args,
                                  std::uint32_t epoch,
                                  PermitWord first,
                                  MailboxCollector& failures) {
    const Word* permit = args.op.permit_from(peer_, epoch) + first;
    // Pairs with post_permits: the region word belongs to this signature.
    const Word seen = warp.load_acquire(permit);
    if (epoch == 0 || seen != make_word(epoch, args.padded.signature)) {
      return false;
    }
    const Word region = warp.load_relaxed(permit + 1);
    const Word sent = warp.load_relaxed(permit + 2);
    if (word_tag(region) != epoch || word_tag(sent) != epoch) {
      return false;  // overwritten by a later offer meanwhile: this dispatch's own permit is there
    }
    const MessageCheck check =
        permit_check({permit_kind(first), epoch, args.op.rank_of(peer_), args.op.self()},
                     args.padded.signature,
                     word_value(region));
    if (word_value(sent) != check.value()) {
      failures.note(
          {FailureKind::kDamaged, args.op.rank_of(peer_), check.value(), word_value(sent)});
    } else if (!place(args, region)) {
      failures.note({FailureKind::kCorrupt, args.op.rank_of(peer_), region, 0});
    }
    return true;
  }

  /// False when the region does not lie in the peer's heap.
  SY_HOST_DEVICE bool place(const DispatchArgs& args, Word region) {
    const std::uint64_t begin = word_value(region) * kRegionUnit;
    args.placement.region_of_rank[peer_] = begin;
    return begin >= args.op.control.block_bytes() &&
           begin + args.landing_of(args.padded_rows()).region_bytes() <=
               args.op.peers.end_of_heap();
  }

  template <Warp W>
  SY_HOST_DEVICE bool will_not_come(W& warp, const DispatchArgs& args) {
    const Word* head = args.op.hello_from(args.op.rank_of(peer_));
    const Word signature = warp.load_relaxed(head + kSignatureWord);
    const Word status = warp.load_relaxed(head + kStatusWord);
    const bool mismatch =
        word_tag(signature) == args.op.epoch && word_value(signature) != args.op.signature;
    return mismatch || (word_tag(status) == args.op.epoch && word_value(status) != 0);
  }

  std::int32_t peer_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
