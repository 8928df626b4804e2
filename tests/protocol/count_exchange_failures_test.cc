// The count exchange when an operation cannot go on: every rank learns why, nobody follows a number
// that cannot be, nothing is kept.
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <vector>

#include "tests/support/hand_made_peer.h"

namespace switchyard::test {
namespace {

using protocol::Failure;
using protocol::FailureKind;
using protocol::RoleKind;
using protocol::Status;
using protocol::WaitKind;

class CountExchangeFailures : public RoleTest {
 protected:
  const std::vector<std::vector<std::int32_t>> experts_{{0, 5, -1}, {0, 5, 4}};

  sim::SimRole& exchange(const runtime::Operation& operation) {
    return role(operation, RoleKind::kCountExchange);
  }

  /// Rank 0 sends these counts; the operation must end as corrupt by rank 0, without a landing.
  void expect_counts_refused(Layout layout, const std::function<void(const HandMadePeer&)>& send) {
    const std::size_t regions = world_.heaps().num_regions(kMe);
    const auto operation = dispatch(experts_, layout);
    const std::uint64_t bytes =
        operation->args.landing_of(operation->args.padded_rows()).region_bytes();
    for (const int from : {0, 2}) {
      const std::uint64_t region = allocate(from, bytes);
      peer(*operation, from)
          .permit(protocol::kPermitSignatureWord, operation->args.padded.signature, region);
    }
    send(peer(*operation, 0));
    peer(*operation, 2).counts(3, {1, 2});
    expect_done(exchange(*operation));
    EXPECT_EQ(operation->flags.failed, 1U);
    EXPECT_EQ(operation->flags.counted, 0U);
    EXPECT_EQ(operation->failure.kind, FailureKind::kCorrupt);
    EXPECT_EQ(operation->failure.rank, 0);
    finish_failed(*operation, regions + (layout == Layout::kPadded ? 1 : 0));
  }

  /// Rank 0 answers this way; the operation must end as corrupt by rank 0, and no row may go.
  void expect_answer_refused(const std::function<void(const HandMadePeer&)>& send) {
    const std::size_t regions = world_.heaps().num_regions(kMe);
    const auto operation = dispatch(experts_);
    for (const int from : {0, 2}) {
      peer(*operation, from).counts(0, {0, 0});
      peer(*operation, from).answer(allocate(from, 1), 2, {0});
    }
    send(peer(*operation, 0));
    expect_done(exchange(*operation));
    EXPECT_EQ(operation->flags.failed, 1U);
    EXPECT_EQ(operation->flags.placed, 0U);
    EXPECT_EQ(operation->failure.kind, FailureKind::kCorrupt);
    EXPECT_EQ(operation->failure.rank, 0);
    finish_failed(*operation, regions + 1);  // the group ends, and peers may still write there
  }

  /// The other roles leave, and the operation's memory is given back.
  void finish_failed(runtime::DispatchOperation& operation, std::size_t regions_left) {
    for (int channel = 0; channel < 2; ++channel) {
      expect_done(role(operation, RoleKind::kScaleUpSend, channel));
      expect_done(role(operation, RoleKind::kScaleUpReceive, channel));
    }
    EXPECT_FALSE(world_.rank(kMe).finish(operation));
    EXPECT_EQ(world_.heaps().num_regions(kMe), regions_left);
  }
};

TEST_F(CountExchangeFailures, NamesTheRankWhenItIssuedAnotherOperation) {
  const auto operation = dispatch(experts_);
  const std::uint32_t mine = operation->args.op.signature;
  // The other operation has nothing behind its head that could be waited for.
  peer(*operation, 0).hello_head(mine + 1);
  expect_blocked(exchange(*operation), WaitKind::kCounts, 2);
  peer(*operation, 2).counts(0, {0, 0});
  expect_done(exchange(*operation));
  expect_failed(*operation, {FailureKind::kMismatch, 0, mine, mine + 1});
  finish_failed(*operation, 0);
}

TEST_F(CountExchangeFailures, KeepsTheFirstRankWhenSeveralDisagree) {
  const auto operation = dispatch(experts_);
  const std::uint32_t mine = operation->args.op.signature;
  peer(*operation, 0).hello_head(mine + 1);
  peer(*operation, 2).hello_head(mine + 2);
  expect_done(exchange(*operation));
  expect_failed(*operation, {FailureKind::kMismatch, 0, mine, mine + 1});
}

TEST_F(CountExchangeFailures, RepeatsThePeersNumbersWhenItsHeapIsTooSmall) {
  const auto operation = dispatch(experts_);
  for (const int from : {0, 2}) {
    peer(*operation, from).counts(0, {0, 0});
  }
  expect_blocked(exchange(*operation), WaitKind::kAnswer, 0);
  const std::uint64_t region = allocate(0, 1);
  peer(*operation, 0).answer(region, 2, {0});
  peer(*operation, 2).answer(0, 2, {0});
  peer(*operation, 2).answer_head(Status::kHeapTooSmall, 100, 7);
  expect_done(exchange(*operation));
  expect_failed(
      *operation,
      {FailureKind::kHeapTooSmall, 2, 100 * protocol::kRegionUnit, 7 * protocol::kRegionUnit});
  finish_failed(*operation, 0);
}

TEST_F(CountExchangeFailures, RepeatsThePeersRowsWhenItsOutputIsTooSmall) {
  const auto operation = dispatch(experts_);
  for (const int from : {0, 2}) {
    peer(*operation, from).counts(0, {0, 0});
    peer(*operation, from).answer(allocate(from, 1), 2, {0});
  }
  peer(*operation, 0).answer_head(Status::kOutputTooSmall, 12, 11);
  expect_done(exchange(*operation));
  expect_failed(*operation, {FailureKind::kOutputTooSmall, 0, 12, 11});
}

TEST_F(CountExchangeFailures, TellsEveryoneWhenItsOwnHeapIsTooSmall) {
  const std::uint64_t all = world_.heaps().largest_free(kMe);
  std::uint64_t taken = world_.rank(kMe).allocate(all - protocol::kRegionUnit);
  const auto operation = dispatch(experts_);
  peer(*operation, 0).counts(300, {300, 0});
  peer(*operation, 2).counts(0, {0, 0});
  expect_blocked(exchange(*operation), WaitKind::kAnswer, 0);
  const std::uint64_t needed =
      operation->args.landing_of(300).region_bytes() / protocol::kRegionUnit;
  for (int to = 0; to < kNumRanks; ++to) {
    const protocol::Word* answer = operation->args.op.answer_at(to);
    expect_sent(
        answer + protocol::kStatusWord, *operation, static_cast<int>(Status::kHeapTooSmall));
    expect_sent(answer + protocol::kNeededWord, *operation, static_cast<std::int64_t>(needed));
    expect_sent(answer + protocol::kFreeWord, *operation, 1);
  }
  for (const int from : {0, 2}) {
    peer(*operation, from).answer(allocate(from, 1), 2, {0});
  }
  expect_done(exchange(*operation));
  expect_failed(
      *operation,
      {FailureKind::kHeapTooSmall, kMe, needed * protocol::kRegionUnit, protocol::kRegionUnit});
  world_.rank(kMe).release(taken);
}

TEST_F(CountExchangeFailures, RefusesCountsThatCannotBe) {
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  const struct {
    std::int32_t rows;
    std::int32_t first;
    std::int32_t second;
  } rank_major[] = {{3, 1, 1},  // more rows than tokens for experts
                    {-1, 1, 1},
                    {1, -1, 3},
                    {2, kMost, 1},  // 2^31 rows do not fit an int
                    {2, kMost, kMost}};
  for (const auto& counts : rank_major) {
    SCOPED_TRACE(testing::Message()
                 << counts.rows << ": " << counts.first << ", " << counts.second);
    expect_counts_refused(Layout::kRankMajor, [&](const HandMadePeer& from) {
      from.counts(counts.rows, {counts.first, counts.second});
    });
  }
  expect_counts_refused(Layout::kExpertMajor, [](const HandMadePeer& from) {
    from.counts(2, {1, 2});
  });
  // Padded places hold four rows of a source and expert.
  expect_counts_refused(Layout::kPadded, [](const HandMadePeer& from) { from.counts(6, {1, 5}); });
}

TEST_F(CountExchangeFailures, TakesAsManyTokensAsAnIntHolds) {
  const auto operation = dispatch(experts_);
  peer(*operation, 0).counts(2, {std::numeric_limits<std::int32_t>::max(), 0});
  peer(*operation, 2).counts(3, {1, 2});
  expect_blocked(exchange(*operation), WaitKind::kAnswer, 0);
}

/// Damage that leaves numbers that could be.
TEST_F(CountExchangeFailures, NoticesADamagedCount) {
  const auto operation = dispatch(experts_, Layout::kExpertMajor);
  peer(*operation, 0).counts(3, {2, 1});
  peer(*operation, 0).hello_word(protocol::kFirstCountWord, 3);
  peer(*operation, 0).hello_word(protocol::kFirstCountWord + 1, 0);
  peer(*operation, 2).counts(3, {1, 2});
  expect_done(exchange(*operation));
  EXPECT_EQ(operation->flags.counted, 0U);
  EXPECT_EQ(operation->failure.kind, FailureKind::kDamaged);
  EXPECT_EQ(operation->failure.rank, 0);
}

TEST_F(CountExchangeFailures, NoticesADamagedAnswer) {
  const auto operation = dispatch(experts_);
  for (const int from : {0, 2}) {
    peer(*operation, from).counts(0, {0, 0});
    peer(*operation, from).answer(allocate(from, 1), 9, {2});
  }
  peer(*operation, 2).answer_word(protocol::kFirstBaseWord, 3);
  expect_done(exchange(*operation));
  EXPECT_EQ(operation->flags.placed, 0U);
  EXPECT_EQ(operation->failure.kind, FailureKind::kDamaged);
  EXPECT_EQ(operation->failure.rank, 2);
}

TEST_F(CountExchangeFailures, RefusesStatusesThatItDoesNotKnow) {
  expect_answer_refused([](const HandMadePeer& from) { from.answer_head(static_cast<Status>(4)); });
}

TEST_F(CountExchangeFailures, RefusesAnswersThatLeadOutsideTheLandingOrTheHeap) {
  const auto operation = dispatch(experts_);
  const protocol::OperationArgs& op = operation->args.op;
  const std::uint64_t heap = op.peers.end_of_heap();
  const std::uint64_t inside = op.control.block_bytes();
  expect_answer_refused([](const HandMadePeer& from) { from.answer(0, 2, {0}); });
  expect_answer_refused(
      [&](const HandMadePeer& from) { from.answer(inside - protocol::kRegionUnit, 2, {0}); });
  expect_answer_refused([&](const HandMadePeer& from) { from.answer(heap, 2, {0}); });
  expect_answer_refused([&](const HandMadePeer& from) {
    from.answer(heap - protocol::kRegionUnit, 2, {0});  // its scales and metadata stick out
  });
  expect_answer_refused([&](const HandMadePeer& from) { from.answer(inside, 1 << 30, {0}); });
  expect_answer_refused([&](const HandMadePeer& from) { from.answer(inside, -1, {0}); });
  expect_answer_refused([&](const HandMadePeer& from) { from.answer(inside, 2, {-1}); });
  expect_answer_refused([&](const HandMadePeer& from) { from.answer(inside, 2, {1}); });
  expect_answer_refused([&](const HandMadePeer& from) { from.answer(inside, 1, {0}); });
}

TEST_F(CountExchangeFailures, GivesNoLeaveToWriteWhenItRefusesAPaddedDispatch) {
  std::vector<std::byte> out(23 * kRowBytes);
  const auto operation = dispatch(experts_, Layout::kPadded, [&](DispatchRequest& request) {
    request.out_x = {out.data(), DType::kBf16, {23, kHidden}};
  });
  const std::size_t regions = world_.heaps().num_regions(kMe);
  expect_blocked(exchange(*operation), WaitKind::kPermit, 0);
  for (int to = 0; to < kNumRanks; ++to) {
    const protocol::Word* hello = operation->args.op.hello_at(to);
    expect_sent(
        hello + protocol::kStatusWord, *operation, static_cast<int>(Status::kOutputTooSmall));
    expect_sent(hello + protocol::kNeededWord, *operation, 24);
    expect_not_sent(operation->args.op.permit_at(to), *operation);
  }
  EXPECT_EQ(world_.heaps().num_regions(kMe), regions);
}

TEST_F(CountExchangeFailures, LeavesThePermitsWhenAPeerRefusesAPaddedDispatch) {
  const auto operation = dispatch(experts_, Layout::kPadded);
  expect_blocked(exchange(*operation), WaitKind::kPermit, 0);
  peer(*operation, 0).counts(0, {0, 0});
  peer(*operation, 0).hello_head(operation->args.op.signature, Status::kOutputTooSmall, 24, 5);
  expect_blocked(exchange(*operation), WaitKind::kCounts, 2);
  peer(*operation, 2).counts(0, {0, 0});
  expect_done(exchange(*operation));
  expect_failed(*operation, {FailureKind::kOutputTooSmall, 0, 24, 5});
}

/// Every rank real, one of them without room.
class GroupFailures : public ::testing::Test {
 protected:
  static constexpr int kNumRanks = 3;

  GroupFailures() : world_(options()), x_(16 * 40), topk_idx_(40, 2) {}

  static sim::WorldOptions options() {
    sim::WorldOptions options;
    options.num_ranks = kNumRanks;
    return options;
  }
  DispatchRequest request(Layout layout) const {
    DispatchRequest request;
    request.x = {x_.data(), DType::kBf16, {40, 8}};
    request.topk_idx = {topk_idx_.data(), DType::kInt32, {40, 1}};
    request.num_experts = 3;
    request.layout = layout;
    request.max_tokens = layout == Layout::kPadded ? 40 : 0;
    return request;
  }
  /// Issues on every rank, runs, finishes.
  std::vector<std::shared_ptr<runtime::DispatchOperation>> run_all(
      Layout layout, const std::function<void(int, DispatchRequest&)>& change = {}) {
    std::vector<std::shared_ptr<runtime::DispatchOperation>> operations;
    for (int rank = 0; rank < kNumRanks; ++rank) {
      DispatchRequest mine = request(layout);
      if (change) {
        change(rank, mine);
      }
      operations.push_back(world_.rank(rank).issue(mine));
    }
    world_.run_until_blocked();
    return operations;
  }
  void expect_all_fail_alike(const std::vector<std::shared_ptr<runtime::DispatchOperation>>& all,
                             const Failure& wanted) {
    for (int rank = 0; rank < kNumRanks; ++rank) {
      runtime::DispatchOperation& operation = *all[static_cast<std::size_t>(rank)];
      ASSERT_TRUE(world_.rank(rank).is_done(operation)) << "rank " << rank;
      EXPECT_FALSE(world_.rank(rank).finish(operation));
      EXPECT_EQ(operation.failure.kind, wanted.kind);
      EXPECT_EQ(operation.failure.rank, wanted.rank);
      EXPECT_EQ(operation.failure.needed, wanted.needed);
      EXPECT_EQ(operation.failure.available, wanted.available);
    }
  }
  void expect_works(Layout layout) {
    const auto operations = run_all(layout);
    for (int rank = 0; rank < kNumRanks; ++rank) {
      runtime::DispatchOperation& operation = *operations[static_cast<std::size_t>(rank)];
      ASSERT_TRUE(world_.rank(rank).is_done(operation)) << "rank " << rank;
      EXPECT_TRUE(world_.rank(rank).finish(operation));
      world_.rank(rank).release(operation.region);
    }
  }

  sim::World world_;
  std::vector<std::byte> x_;
  std::vector<std::int32_t> topk_idx_;
};

TEST_F(GroupFailures, EveryRankFailsWithTheSameBytesWhenOneHasNoRoom) {
  for (const Layout layout : {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded}) {
    SCOPED_TRACE(layout_name(layout));
    expect_works(layout);
    std::uint64_t taken =
        world_.rank(2).allocate(world_.heaps().largest_free(2) - protocol::kRegionUnit);
    const auto operations = run_all(layout);
    const std::uint64_t needed = operations[2]->args.landing_of(120).region_bytes();
    if (layout == Layout::kPadded) {
      // Its places were reserved when the dispatch before ended.
      for (int rank = 0; rank < kNumRanks; ++rank) {
        EXPECT_TRUE(world_.rank(rank).finish(*operations[static_cast<std::size_t>(rank)]));
      }
    } else {
      expect_all_fail_alike(operations,
                            {FailureKind::kHeapTooSmall, 2, needed, protocol::kRegionUnit});
    }
    world_.rank(2).release(taken);
    for (int round = 0; round < 5; ++round) {
      expect_works(layout);
    }
  }
}

TEST_F(GroupFailures, EveryRankFailsWithTheSameBytesWhenOneHasNoRoomForItsFirstPlaces) {
  std::uint64_t taken =
      world_.rank(1).allocate(world_.heaps().largest_free(1) - protocol::kRegionUnit);
  const auto operations = run_all(Layout::kPadded);
  const std::uint64_t needed = operations[1]->args.landing_of(120).region_bytes();
  expect_all_fail_alike(operations, {FailureKind::kHeapTooSmall, 1, needed, protocol::kRegionUnit});
  world_.rank(1).release(taken);
  for (int round = 0; round < 5; ++round) {
    expect_works(Layout::kPadded);
  }
}

TEST_F(GroupFailures, EveryRankFailsWithTheSameRowsWhenOneGaveTooLittleMemory) {
  std::vector<std::byte> out(16 * 119);
  for (const Layout layout : {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded}) {
    SCOPED_TRACE(layout_name(layout));
    const auto operations = run_all(layout, [&](int rank, DispatchRequest& request) {
      if (rank == 2) {
        request.out_x = {out.data(), DType::kBf16, {119, 8}};
      }
    });
    expect_all_fail_alike(operations, {FailureKind::kOutputTooSmall, 2, 120, 119});
    for (int round = 0; round < 5; ++round) {
      expect_works(layout);
    }
  }
}

TEST_F(GroupFailures, EveryRankNamesAnotherWhenOneIssuedAnotherOperation) {
  for (const Layout layout : {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded}) {
    const auto operations = run_all(layout, [&](int rank, DispatchRequest& request) {
      if (rank == 1) {
        request.num_experts = 6;
      }
    });
    for (int rank = 0; rank < kNumRanks; ++rank) {
      runtime::DispatchOperation& operation = *operations[static_cast<std::size_t>(rank)];
      ASSERT_TRUE(world_.rank(rank).is_done(operation)) << "rank " << rank;
      EXPECT_FALSE(world_.rank(rank).finish(operation));
      EXPECT_EQ(operation.failure.kind, FailureKind::kMismatch);
      EXPECT_EQ(operation.failure.rank, rank == 1 ? 0 : 1);
    }
    for (int round = 0; round < 5; ++round) {
      expect_works(layout);
    }
  }
}

}  // namespace
}  // namespace switchyard::test
