// The count exchange of rank 1 of 3, two experts a rank: what it sends, what it waits for, what it
// does with each message. Peers' messages are written by hand.
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/hand_made_peer.h"

namespace switchyard::test {
namespace {

using protocol::FailureKind;
using protocol::RoleKind;
using protocol::WaitKind;
using protocol::Word;

class CountExchangeTest : public RoleTest {
 protected:
  /// Two tokens to experts 0 and 5 each, one of them to expert 4 too; none to this rank.
  const std::vector<std::vector<std::int32_t>> experts_{{0, 5, -1}, {0, 5, 4}};

  sim::SimRole& exchange(const runtime::Operation& operation) {
    return role(operation, RoleKind::kCountExchange);
  }
  /// Receives the counts of both peers: two rows of rank 0, three of rank 2.
  void receive_counts(const runtime::Operation& operation) {
    peer(operation, 0).counts(2, {2, 1});
    peer(operation, 2).counts(3, {1, 3});
  }
};

TEST_F(CountExchangeTest, PostsItsCountsToEveryRankWhenItStarts) {
  const auto operation = dispatch(experts_);
  const protocol::OperationArgs& op = operation->args.op;
  expect_blocked(exchange(*operation), WaitKind::kCounts, 0);
  const std::int32_t rows[] = {2, 0, 2};
  const std::int32_t counts[] = {2, 0, 0, 0, 1, 2};
  for (int to = 0; to < kNumRanks; ++to) {
    const Word* hello = op.hello_at(to);
    expect_sent(hello + protocol::kSignatureWord, *operation, op.signature);
    expect_sent(hello + protocol::kStatusWord, *operation, 0);
    expect_sent(hello + protocol::kRowsWord, *operation, rows[to]);
    expect_sent(hello + protocol::kFirstCountWord, *operation, counts[2 * to]);
    expect_sent(hello + protocol::kFirstCountWord + 1, *operation, counts[2 * to + 1]);
  }
}

TEST_F(CountExchangeTest, WaitsForEachPeerInTurnWhenCountsAreMissing) {
  const auto operation = dispatch(experts_);
  expect_blocked(exchange(*operation), WaitKind::kCounts, 0);
  peer(*operation, 0).counts(2, {2, 1});
  expect_blocked(exchange(*operation), WaitKind::kCounts, 2);
  peer(*operation, 2).hello_head(operation->args.op.signature);
  expect_blocked(exchange(*operation), WaitKind::kCounts, 2);
  peer(*operation, 2).counts(3, {1, 3});
  expect_blocked(exchange(*operation), WaitKind::kAnswer, 0);
}

TEST_F(CountExchangeTest, IgnoresCountsWhenTheyBelongToThePastOrTheFuture) {
  const auto operation = dispatch(experts_);
  const std::uint32_t epoch = operation->args.op.epoch;
  const std::uint32_t slots = operation->args.op.control.num_slots;
  for (const std::uint32_t other : {epoch - slots, epoch + slots, epoch - 1, epoch + 1}) {
    peer(*operation, 0).in_epoch(other).counts(9, {9, 9});
    expect_blocked(exchange(*operation), WaitKind::kCounts, 0);
    EXPECT_EQ(protocol::word_tag(exchange(*operation).wait().seen), other);
    EXPECT_EQ(protocol::word_tag(exchange(*operation).wait().expected), epoch);
  }
  // One stale word among fresh ones is as good as none.
  peer(*operation, 0).counts(2, {2, 1});
  peer(*operation, 0).in_epoch(epoch - slots).hello_word(protocol::kFirstCountWord + 1, 1);
  expect_blocked(exchange(*operation), WaitKind::kCounts, 0);
  peer(*operation, 0).hello_word(protocol::kFirstCountWord + 1, 1);
  expect_blocked(exchange(*operation), WaitKind::kCounts, 2);
}

TEST_F(CountExchangeTest, AnswersEverySourceWithItsFirstRowWhenCountsAreIn) {
  const auto operation = dispatch(experts_);
  receive_counts(*operation);
  expect_blocked(exchange(*operation), WaitKind::kAnswer, 0);
  EXPECT_EQ(operation->handle->num_rows, 5);
  ASSERT_NE(operation->region, protocol::kNoRegion);
  const std::int32_t bases[] = {0, 2, 2};
  for (int to = 0; to < kNumRanks; ++to) {
    const Word* answer = operation->args.op.answer_at(to);
    expect_sent(answer + protocol::kStatusWord, *operation, 0);
    expect_sent(answer + protocol::kRegionWord,
                *operation,
                static_cast<std::int64_t>(operation->region / protocol::kRegionUnit));
    expect_sent(answer + protocol::kNumRowsWord, *operation, 5);
    expect_sent(answer + protocol::kFirstBaseWord, *operation, bases[to]);
  }
}

TEST_F(CountExchangeTest, AnswersWithARowForEveryExpertWhenExpertMajor) {
  const auto operation = dispatch(experts_, Layout::kExpertMajor, [](DispatchRequest& request) {
    request.expert_alignment = 4;
  });
  peer(*operation, 0).counts(3, {2, 1});
  peer(*operation, 2).counts(4, {1, 3});
  expect_blocked(exchange(*operation), WaitKind::kAnswer, 0);
  EXPECT_EQ(operation->handle->num_rows, 8);
  const std::int32_t bases[][2] = {{0, 4}, {2, 5}, {2, 5}};
  for (int to = 0; to < kNumRanks; ++to) {
    const Word* answer = operation->args.op.answer_at(to);
    expect_sent(answer + protocol::kFirstBaseWord, *operation, bases[to][0]);
    expect_sent(answer + protocol::kFirstBaseWord + 1, *operation, bases[to][1]);
  }
}

TEST_F(CountExchangeTest, TellsSendAndReceiveToGoOnOnlyWhenEveryAnswerIsIn) {
  const auto operation = dispatch(experts_);
  receive_counts(*operation);
  expect_blocked(exchange(*operation), WaitKind::kAnswer, 0);
  const std::uint64_t region0 = allocate(0, 1);
  const std::uint64_t region2 = allocate(2, 1);
  peer(*operation, 0).answer(region0, 9, {7});
  expect_blocked(exchange(*operation), WaitKind::kAnswer, 2);
  EXPECT_EQ(operation->flags.placed, 0U);
  EXPECT_EQ(operation->flags.counted, 0U);
  peer(*operation, 2).answer(region2, 2, {0});
  expect_done(exchange(*operation));
  EXPECT_EQ(operation->flags.placed, 1U);
  EXPECT_EQ(operation->flags.counted, 1U);
  EXPECT_EQ(operation->flags.failed, 0U);
  EXPECT_EQ(operation->region_of_rank,
            (std::vector<std::uint64_t>{region0, operation->region, region2}));
  EXPECT_EQ(operation->handle->base, (std::vector<std::int32_t>{7, 2, 0}));
  EXPECT_EQ(operation->handle->rows_of_rank, (std::vector<std::int32_t>{9, 5, 2}));
}

TEST_F(CountExchangeTest, IgnoresAnswersWhenTheyBelongToThePastOrTheFuture) {
  const auto operation = dispatch(experts_);
  const std::uint32_t epoch = operation->args.op.epoch;
  const std::uint32_t slots = operation->args.op.control.num_slots;
  receive_counts(*operation);
  for (const std::uint32_t other : {epoch - slots, epoch + slots}) {
    peer(*operation, 0).in_epoch(other).answer(allocate(0, 1), 9, {7});
    expect_blocked(exchange(*operation), WaitKind::kAnswer, 0);
  }
}

TEST_F(CountExchangeTest, SkipsCountingWhenAHandleIsGiven) {
  const auto counted = dispatch(experts_);
  receive_counts(*counted);
  for (const int from : {0, 2}) {
    peer(*counted, from).answer(allocate(from, 1), 2, {0});
  }
  expect_done(exchange(*counted));
  const std::vector<std::byte> x(2 * kRowBytes);
  DispatchRequest request;
  request.x = {x.data(), DType::kBf16, {2, kHidden}};
  const auto operation = world_.rank(kMe).issue(request, counted->handle);
  expect_blocked(exchange(*operation), WaitKind::kAnswer, 0);
  EXPECT_NE(operation->region, counted->region);
  for (int to = 0; to < kNumRanks; ++to) {
    const Word* hello = operation->args.op.hello_at(to);
    expect_sent(hello + protocol::kNumRowsWord, *operation, 5);
    expect_sent(hello + protocol::kRegionWord,
                *operation,
                static_cast<std::int64_t>(operation->region / protocol::kRegionUnit));
    expect_not_sent(operation->args.op.answer_at(to), *operation);
  }
  const std::uint64_t region0 = allocate(0, 1);
  peer(*operation, 0).hello_answer(region0, 2);
  expect_blocked(exchange(*operation), WaitKind::kAnswer, 2);
  peer(*operation, 2).hello_answer(allocate(2, 1), 2);
  expect_done(exchange(*operation));
  EXPECT_EQ(operation->region_of_rank[0], region0);
  EXPECT_EQ(operation->handle->base, counted->handle->base);
  EXPECT_EQ(operation->flags.placed, 1U);
}

TEST_F(CountExchangeTest, LeavesToSendAndCountInTurnWhenPadded) {
  const auto operation = dispatch(experts_, Layout::kPadded);
  const protocol::OperationArgs& op = operation->args.op;
  const std::uint32_t signature = operation->args.padded.signature;
  expect_blocked(exchange(*operation), WaitKind::kPermit, 0);
  for (int to = 0; to < kNumRanks; ++to) {
    expect_sent(op.permit_at(to) + protocol::kPermitSignatureWord, *operation, signature);
    expect_sent(op.permit_at(to) + protocol::kPermitRegionWord,
                *operation,
                static_cast<std::int64_t>(operation->region / protocol::kRegionUnit));
    expect_sent(op.hello_at(to) + protocol::kSignatureWord, *operation, op.signature);
  }
  const std::uint64_t bytes =
      operation->args.landing_of(operation->args.padded_rows()).region_bytes();
  const std::uint64_t region0 = allocate(0, bytes);
  peer(*operation, 0).permit(protocol::kPermitSignatureWord, signature, region0);
  expect_blocked(exchange(*operation), WaitKind::kPermit, 2);
  EXPECT_EQ(operation->flags.placed, 0U);
  // No rows go to this rank itself, so its own permit is not waited for.
  peer(*operation, 2).permit(protocol::kPermitSignatureWord, signature, allocate(2, bytes));
  expect_blocked(exchange(*operation), WaitKind::kCounts, 0);
  EXPECT_EQ(operation->flags.placed, 1U) << "rows may go before counts are in";
  EXPECT_EQ(operation->region_of_rank[0], region0);
  EXPECT_EQ(operation->flags.counted, 0U);
  peer(*operation, 0).counts(3, {2, 1});
  peer(*operation, 2).counts(4, {1, 3});
  expect_done(exchange(*operation));
  EXPECT_EQ(operation->flags.counted, 1U);
  EXPECT_EQ(operation->handle->rows_from, (std::vector<std::int32_t>{3, 0, 4}));
}

}  // namespace
}  // namespace switchyard::test
