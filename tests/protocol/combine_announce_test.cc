// Combine announce of rank 1 of 3: says where its rows lie, learns the same from every peer, and
// stays until every reader is done. Peers' messages are written by hand.
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/combine_fixture.h"

namespace switchyard::test {
namespace {

using protocol::FailureKind;
using protocol::RoleKind;
using protocol::Status;
using protocol::WaitKind;
using protocol::Word;

class CombineAnnounceTest : public CombineTest {
 protected:
  sim::SimRole& announce(const runtime::Operation& operation) {
    return role(operation, RoleKind::kCombineAnnounce);
  }
  void receive_announcements(const runtime::Operation& operation) {
    peer(operation, 0).announcement(allocate(0, 4096));
    peer(operation, 2).announcement(allocate(2, 4096));
  }
  void expect_corrupt(std::uint64_t rows_at,
                      std::uint64_t weights_at,
                      std::uint64_t topk_weights_at) {
    const auto operation = combine_in_place();
    peer(*operation, 0).announcement(allocate(0, 4096));
    peer(*operation, 2).announcement(rows_at, weights_at, topk_weights_at);
    expect_done(announce(*operation));
    EXPECT_EQ(operation->failure.kind, FailureKind::kCorrupt);
    EXPECT_EQ(operation->failure.rank, 2);
    EXPECT_EQ(operation->flags.placed, 0U);
    run_all(*operation);
    EXPECT_FALSE(world_.rank(kMe).finish(*operation));
  }
};

TEST_F(CombineAnnounceTest, TellsEveryRankWhereTheRowsLieWhenTheyAreInTheHeap) {
  const auto operation = combine_in_place();
  expect_blocked(announce(*operation), WaitKind::kAnnounce, 0);
  for (int to = 0; to < kNumRanks; ++to) {
    const Word* hello = operation->args.op.hello_at(to);
    expect_sent(hello + protocol::kSignatureWord, *operation, operation->args.op.signature);
    expect_sent(hello + protocol::kStatusWord, *operation, 0);
    expect_sent(hello + protocol::kRowsAtWord,
                *operation,
                static_cast<std::int64_t>(expert_rows_ / protocol::kRowUnit));
    expect_sent(hello + protocol::kRowWeightsAtWord, *operation, 0);
    expect_sent(hello + protocol::kRowTopkWeightsAtWord, *operation, 0);
  }
}

TEST_F(CombineAnnounceTest, WaitsForItsCopiesWhenRowsLieOutsideTheHeap) {
  const auto operation = combine_private(true);
  expect_blocked(announce(*operation), WaitKind::kLocalRole, -1);
  EXPECT_EQ(operation->flags.reserved, 1U);
  ASSERT_NE(operation->copy_in_region, protocol::kNoRegion);
  expect_not_sent(operation->args.op.hello_at(0) + protocol::kRowsAtWord, *operation);
  operation->flags.copied = 1;
  expect_blocked(announce(*operation), WaitKind::kLocalRole, -1);
  operation->flags.copied = 2;
  expect_blocked(announce(*operation), WaitKind::kAnnounce, 0);
  const Word* hello = operation->args.op.hello_at(2);
  const std::uint64_t region = operation->copy_in_region;
  const protocol::CopyInLayout& layout = operation->args.experts.copy_in;
  const auto unit = [&](std::uint64_t offset) {
    return static_cast<std::int64_t>(offset / protocol::kRowUnit);
  };
  expect_sent(hello + protocol::kRowsAtWord, *operation, unit(region));
  expect_sent(
      hello + protocol::kRowWeightsAtWord, *operation, unit(region + layout.row_weights_offset()));
  expect_sent(hello + protocol::kRowTopkWeightsAtWord,
              *operation,
              unit(region + layout.row_topk_weights_offset()));
}

TEST_F(CombineAnnounceTest, LetsAccumulationStartOnlyWhenEveryRankHasAnnounced) {
  const auto operation = combine_in_place();
  const std::uint64_t rows0 = allocate(0, 4096);
  const std::uint64_t rows2 = allocate(2, 8192);
  peer(*operation, 0).announcement(rows0, rows0 + 64, rows0 + 128);
  expect_blocked(announce(*operation), WaitKind::kAnnounce, 2);
  EXPECT_EQ(operation->flags.placed, 0U);
  peer(*operation, 2).announcement(rows2 + 4096);
  expect_blocked(announce(*operation), WaitKind::kConsumers, 0);
  EXPECT_EQ(operation->flags.placed, 1U);
  EXPECT_EQ(operation->rows_at, (std::vector<std::uint64_t>{rows0, expert_rows_, rows2 + 4096}));
  EXPECT_EQ(operation->row_weights_at, (std::vector<std::uint64_t>{rows0 + 64, 0, 0}));
  EXPECT_EQ(operation->row_topk_weights_at, (std::vector<std::uint64_t>{rows0 + 128, 0, 0}));
}

TEST_F(CombineAnnounceTest, IgnoresAnnouncementsOfThePastAndTheFuture) {
  const auto operation = combine_in_place();
  const std::uint32_t epoch = operation->args.op.epoch;
  const std::uint32_t slots = operation->args.op.control.num_slots;
  for (const std::uint32_t other : {epoch - slots, epoch + slots}) {
    peer(*operation, 0).in_epoch(other).announcement(allocate(0, 4096));
    expect_blocked(announce(*operation), WaitKind::kAnnounce, 0);
  }
}

TEST_F(CombineAnnounceTest, StaysUntilEveryChannelOfEveryReaderIsDone) {
  // Ranks 0 and 1 have rows here, rank 2 has none.
  const auto operation = combine_in_place();
  receive_announcements(*operation);
  expect_blocked(announce(*operation), WaitKind::kConsumers, 0);
  peer(*operation, 0).progress(0, protocol::kRowsRead);
  expect_blocked(announce(*operation), WaitKind::kConsumers, 0);
  peer(*operation, 0).in_epoch(operation->args.op.epoch - 4).progress(1, protocol::kRowsRead);
  expect_blocked(announce(*operation), WaitKind::kConsumers, 0);
  peer(*operation, 0).progress(1, protocol::kRowsRead);
  expect_blocked(announce(*operation), WaitKind::kConsumers, 1);
  peer(*operation, 1).progress(0, protocol::kRowsRead);
  peer(*operation, 1).progress(1, protocol::kRowsRead);
  expect_done(announce(*operation));
}

TEST_F(CombineAnnounceTest, FailsWhenAReaderSaysAnythingElse) {
  const auto operation = combine_in_place();
  receive_announcements(*operation);
  peer(*operation, 0).progress(0, protocol::kRowsRead + 1);
  expect_done(announce(*operation));
  EXPECT_EQ(operation->flags.failed, 1U);
  EXPECT_EQ(operation->failure.kind, FailureKind::kDamaged);
  EXPECT_EQ(operation->failure.rank, 0);
  EXPECT_EQ(operation->failure.available,
            protocol::word_value(*operation->args.op.progress_from(0, 0)));
}

TEST_F(CombineAnnounceTest, NamesTheRankWhenItIssuedAnotherOperation) {
  const auto operation = combine_in_place();
  const std::uint32_t mine = operation->args.op.signature;
  peer(*operation, 0).announcement(allocate(0, 4096));
  peer(*operation, 2).hello_head(mine - 1);
  expect_done(announce(*operation));
  expect_failed(*operation, {FailureKind::kMismatch, 2, mine, mine - 1});
  run_all(*operation);
  EXPECT_FALSE(world_.rank(kMe).finish(*operation));
}

TEST_F(CombineAnnounceTest, RepeatsThePeersNumbersWhenItsHeapIsTooSmall) {
  const auto operation = combine_in_place();
  receive_announcements(*operation);
  peer(*operation, 2).hello_head(operation->args.op.signature, Status::kHeapTooSmall, 9, 8);
  expect_done(announce(*operation));
  expect_failed(
      *operation,
      {FailureKind::kHeapTooSmall, 2, 9 * protocol::kRegionUnit, 8 * protocol::kRegionUnit});
}

TEST_F(CombineAnnounceTest, TellsEveryRankWhenItHasNoRoomForSumsOrCopies) {
  std::uint64_t taken = allocate(kMe, world_.heaps().largest_free(kMe));
  const auto operation = combine_private(false);
  receive_announcements(*operation);
  expect_done(announce(*operation));
  for (int to = 0; to < kNumRanks; ++to) {
    expect_sent(operation->args.op.hello_at(to) + protocol::kStatusWord,
                *operation,
                static_cast<int>(Status::kHeapTooSmall));
  }
  EXPECT_EQ(operation->failure.kind, FailureKind::kHeapTooSmall);
  EXPECT_EQ(operation->failure.rank, kMe);
  EXPECT_EQ(operation->failure.available, 0U);
  run_all(*operation);
  world_.rank(kMe).release(taken);
  const std::size_t regions = world_.heaps().num_regions(kMe);
  EXPECT_FALSE(world_.rank(kMe).finish(*operation));
  EXPECT_EQ(world_.heaps().num_regions(kMe), regions);
}

TEST_F(CombineAnnounceTest, GivesBackTheSumsWhenOnlyTheCopiesFindNoRoom) {
  std::uint64_t taken = allocate(kMe, world_.heaps().largest_free(kMe) - 4096);
  const auto operation = combine_private(true);
  const std::size_t regions = world_.heaps().num_regions(kMe);
  receive_announcements(*operation);
  expect_done(announce(*operation));
  const std::uint64_t bytes = operation->args.experts.copy_in.region_bytes();
  EXPECT_EQ(operation->failure.needed, protocol::round_up(bytes, protocol::kRegionUnit));
  run_all(*operation);
  EXPECT_FALSE(world_.rank(kMe).finish(*operation));
  EXPECT_EQ(world_.heaps().num_regions(kMe), regions);
  world_.rank(kMe).release(taken);
}

TEST_F(CombineAnnounceTest, RefusesOffsetsThatLeadOutsideThePeersHeap) {
  const std::uint64_t heap = world_.heaps().heap_bytes();
  expect_corrupt(heap, 0, 0);
  expect_corrupt(heap - kRowBytes, 0, 0);  // rank 2 holds two rows
  expect_corrupt(heap - 4096, heap, 0);
  expect_corrupt(heap - 4096, 0, heap);
  expect_corrupt(
      std::uint64_t{std::numeric_limits<std::uint32_t>::max()} * protocol::kRowUnit, 0, 0);
}

TEST_F(CombineAnnounceTest, RefusesOffsetsThatLeadIntoThePeersControlBlock) {
  const std::uint64_t first = world_.heaps().control().block_bytes();
  const std::uint64_t unit = protocol::kRowUnit;
  expect_corrupt(0, 0, 0);  // where rank 2 holds rows, it must say where
  expect_corrupt(first - unit, 0, 0);
  expect_corrupt(first, first - unit, 0);
  expect_corrupt(first, unit, 0);
  expect_corrupt(first, 0, first - unit);
}

TEST_F(CombineAnnounceTest, TakesOffsetsRightBehindThePeersControlBlock) {
  const std::uint64_t first = world_.heaps().control().block_bytes();
  const auto operation = combine_in_place();
  peer(*operation, 0).announcement(first, first, first);
  peer(*operation, 2).announcement(first);
  expect_blocked(announce(*operation), WaitKind::kConsumers, 0);
  EXPECT_EQ(operation->flags.placed, 1U);
}

TEST_F(CombineAnnounceTest, TakesAnyOffsetOfARankThatHoldsNoRows) {
  handle()->rows_of_rank[2] = 0;
  const auto operation = combine_in_place();
  peer(*operation, 0).announcement(allocate(0, 4096));
  peer(*operation, 2).announcement(0);
  expect_blocked(announce(*operation), WaitKind::kConsumers, 0);
  EXPECT_EQ(operation->flags.placed, 1U);
}

TEST_F(CombineAnnounceTest, TakesOffsetsThatEndWithThePeersHeapAndNoneBehind) {
  const std::uint64_t heap = world_.heaps().heap_bytes();
  handle()->rows_of_rank[2] = 4;  // 64 bytes of rows, 16 of weights, 48 of top-k weights
  {
    const auto operation = combine_in_place();
    peer(*operation, 0).announcement(allocate(0, 4096));
    peer(*operation, 2).announcement(heap - 64, heap - 16, heap - 48);
    expect_blocked(announce(*operation), WaitKind::kConsumers, 0);
    EXPECT_EQ(operation->flags.placed, 1U);
  }
  const std::uint64_t unit = protocol::kRowUnit;
  expect_corrupt(heap - 64 + unit, heap - 16, heap - 48);
  expect_corrupt(heap - 64, heap - 16 + unit, heap - 48);
  expect_corrupt(heap - 64, heap - 16, heap - 48 + unit);
}

}  // namespace
}  // namespace switchyard::test
