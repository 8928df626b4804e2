// Leave to write into padded regions: from the dispatch before or from this one, never from
// another.
#include "csrc/protocol/padded_permits.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/hand_made_peer.h"

namespace switchyard::test {
namespace {

using Outcome = protocol::PermitCollector::Outcome;
using protocol::FailureKind;
using protocol::kNextSignatureWord;
using protocol::kPermitSignatureWord;
using protocol::Status;

/// Rank 1 sends to rank 0 and itself; rank 2 gets nothing.
class PaddedPermits : public RoleTest {
 protected:
  static constexpr std::uint32_t kPrevious = 17;

  PaddedPermits() : warp_(world_.memory(), kMe, "collector") {
    operation_ = dispatch({{0, 3}, {2, -1}}, Layout::kPadded);
    operation_->args.padded.previous_epoch = kPrevious;
    signature_ = operation_->args.padded.signature;
    bytes_ = operation_->args.landing_of(operation_->args.padded_rows()).region_bytes();
    for (int rank = 0; rank < kNumRanks; ++rank) {
      regions_.push_back(allocate(rank, bytes_));
    }
  }

  Outcome collect() { return collector_.collect(warp_, operation_->args, failures_); }
  HandMadePeer from(int rank) { return peer(*operation_, rank); }
  HandMadePeer from_before(int rank) { return peer(*operation_, rank).in_epoch(kPrevious); }

  void expect_blocked_on(int rank) {
    EXPECT_EQ(collect(), Outcome::kBlocked);
    EXPECT_EQ(collector_.wait().kind, protocol::WaitKind::kPermit);
    EXPECT_EQ(collector_.wait().peer, rank);
  }

  sim::SimWarp warp_;
  std::shared_ptr<runtime::DispatchOperation> operation_;
  std::uint32_t signature_ = 0;
  std::uint64_t bytes_ = 0;
  std::vector<std::uint64_t> regions_;
  protocol::PermitCollector collector_;
  protocol::MailboxCollector failures_;
};

TEST_F(PaddedPermits, AreThereAtOnceWhenTheDispatchBeforeGaveThem) {
  expect_blocked_on(0);
  from_before(0).permit(kNextSignatureWord, signature_, regions_[0]);
  expect_blocked_on(1);
  from_before(1).permit(kNextSignatureWord, signature_, regions_[1]);
  EXPECT_EQ(collect(), Outcome::kComplete) << "rank 2 gets no rows: its permit is not waited for";
  EXPECT_EQ(operation_->region_of_rank[0], regions_[0]);
  EXPECT_EQ(operation_->region_of_rank[1], regions_[1]);
  EXPECT_FALSE(failures_.failed());
}

TEST_F(PaddedPermits, ComeWithThisDispatchWhenTheOneBeforeGaveNone) {
  from(0).permit(kPermitSignatureWord, signature_, regions_[0]);
  expect_blocked_on(1);
  from(1).permit(kPermitSignatureWord, signature_, regions_[1]);
  EXPECT_EQ(collect(), Outcome::kComplete);
  EXPECT_EQ(operation_->region_of_rank[1], regions_[1]);
}

TEST_F(PaddedPermits, AreIgnoredWhenOfAnotherShapeOrAnotherTime) {
  from_before(0).permit(kNextSignatureWord, signature_ + 1, regions_[2]);
  expect_blocked_on(0);
  from_before(0).permit(kPermitSignatureWord, signature_, regions_[2]);
  expect_blocked_on(0);
  from(0).permit(kPermitSignatureWord, signature_ + 1, regions_[2]);
  expect_blocked_on(0);
  from(0).permit(kNextSignatureWord, signature_, regions_[2]);  // for the dispatch after this one
  expect_blocked_on(0);
  peer(*operation_, 0).in_epoch(kPrevious - 4).permit(kNextSignatureWord, signature_, regions_[2]);
  expect_blocked_on(0);
  EXPECT_FALSE(failures_.failed());
}

TEST_F(PaddedPermits, OfNoTimeAreIgnoredWhenThereWasNoDispatchBefore) {
  operation_->args.padded.previous_epoch = 0;
  peer(*operation_, 0).in_epoch(0).permit(kNextSignatureWord, signature_, regions_[0]);
  expect_blocked_on(0);
}

TEST_F(PaddedPermits, AreCorruptWhenTheyLeadOutsideThePeersHeap) {
  const std::uint64_t heap = world_.heaps().heap_bytes();
  const std::uint64_t wrong[] = {0,
                                 world_.heaps().control().block_bytes() - protocol::kRegionUnit,
                                 heap,
                                 heap - bytes_ + 4096};
  from(1).permit(kPermitSignatureWord, signature_, regions_[1]);
  for (const std::uint64_t region : wrong) {
    from(0).permit(kPermitSignatureWord, signature_, region);
    collector_ = {};
    failures_ = {};
    EXPECT_EQ(collect(), Outcome::kComplete);
    EXPECT_EQ(failures_.failure().kind, FailureKind::kCorrupt) << region;
    EXPECT_EQ(failures_.failure().rank, 0);
  }
}

TEST_F(PaddedPermits, AreDamagedWhenAnotherRegionOfTheHeapIsNamed) {
  from(1).permit(kPermitSignatureWord, signature_, regions_[1]);
  from_before(0).permit(kNextSignatureWord, signature_, regions_[0]);
  protocol::Word* permit = operation_->args.op.permit_from(0, kPrevious) + kNextSignatureWord;
  const protocol::Word sound[] = {permit[1], permit[2]};
  for (int word = 1; word <= 2; ++word) {
    for (int bit = 0; bit < 32; ++bit) {
      permit[word] ^= protocol::Word{1} << bit;
      collector_ = {};
      failures_ = {};
      EXPECT_EQ(collect(), Outcome::kComplete);
      EXPECT_EQ(failures_.failure().kind, FailureKind::kDamaged) << word << ", bit " << bit;
      EXPECT_EQ(failures_.failure().rank, 0);
      permit[word] = sound[word - 1];
    }
  }
}

TEST_F(PaddedPermits, AreIgnoredWhenAWordIsAlreadyThatOfALaterOffer) {
  from(1).permit(kPermitSignatureWord, signature_, regions_[1]);
  protocol::Word* permit = operation_->args.op.permit_from(0, kPrevious) + kNextSignatureWord;
  for (const int word : {1, 2}) {
    from_before(0).permit(kNextSignatureWord, signature_, regions_[0]);
    permit[word] = protocol::make_word(
        kPrevious + 4, static_cast<std::uint32_t>(regions_[2] / protocol::kRegionUnit));
    expect_blocked_on(0);
    EXPECT_FALSE(failures_.failed());
  }
  from(0).permit(kPermitSignatureWord, signature_, regions_[0]);
  EXPECT_EQ(collect(), Outcome::kComplete);
  EXPECT_FALSE(failures_.failed());
  EXPECT_EQ(operation_->region_of_rank[0], regions_[0]);
}

TEST_F(PaddedPermits, WillNotComeWhenThePeerRefusedOrIssuedAnotherOperation) {
  expect_blocked_on(0);
  from(0).hello_head(operation_->args.op.signature);
  expect_blocked_on(0);
  from(0).hello_head(operation_->args.op.signature, Status::kHeapTooSmall);
  EXPECT_EQ(collect(), Outcome::kWillNotCome);
  from(0).hello_head(operation_->args.op.signature + 1);
  EXPECT_EQ(collect(), Outcome::kWillNotCome);
  from_before(0).hello_head(operation_->args.op.signature + 1);
  expect_blocked_on(0);
}

TEST_F(PaddedPermits, StillComeWhenAnotherOperationWasRefusedInTheSameSlot) {
  from_before(0).hello_head(operation_->args.op.signature, Status::kHeapTooSmall);
  expect_blocked_on(0);
  from(0).permit(kPermitSignatureWord, signature_, regions_[0]);
  expect_blocked_on(1);
}

TEST_F(PaddedPermits, AreSeenWithTheirRegionWheneverTheyAreSeen) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    sim::WeakMemory memory(world_.heaps(), seed);
    sim::SimWarp giver(memory, kMe, "giver");
    protocol::DispatchArgs args = operation_->args;
    args.op.epoch = 100 + static_cast<std::uint32_t>(seed);
    post_permits(giver, args, regions_[kMe], kNextSignatureWord);
    const protocol::Word* permit = args.op.permit_at(2) + kNextSignatureWord;
    while (memory.publish_one(kMe)) {
      if (*permit == protocol::make_word(args.op.epoch, signature_)) {
        EXPECT_EQ(protocol::word_tag(permit[1]), args.op.epoch);
        EXPECT_EQ(protocol::word_tag(permit[2]), args.op.epoch);
      }
    }
  }
}

}  // namespace
}  // namespace switchyard::test
