// Tagged words: a mailbox is complete when every word carries the tag, and not before.
#include "csrc/protocol/mailbox.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "csrc/targets/sim/heaps.h"
#include "csrc/targets/sim/sim_warp.h"

namespace switchyard::test {
namespace {

using protocol::Failure;
using protocol::FailureKind;
using protocol::make_word;
using protocol::Status;
using protocol::Word;

class MailboxTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kEpoch = 9;
  static constexpr std::uint32_t kSignature = 0xabcd;
  static constexpr std::uint32_t kEnd = protocol::kNumHeadWords + 2;

  MailboxTest() : heaps_({1, 4, 1, 8}, 1U << 16U), memory_(heaps_, 1), warp_(memory_, 0, "reader") {
    op_.peers = heaps_.peers(0);
    op_.control = heaps_.control();
    op_.epoch = kEpoch;
    op_.signature = kSignature;
    op_.flags = &flags_;
    op_.failure = &failure_;
    mailbox_ = op_.hello_at(0);
  }

  /// Receives word `index` of the current epoch.
  void receive(std::uint32_t index, std::uint32_t value) {
    mailbox_[index] = make_word(kEpoch, value);
  }
  void receive_head(std::uint32_t signature,
                    Status status,
                    std::uint32_t needed,
                    std::uint32_t free) {
    receive(protocol::kSignatureWord, signature);
    receive(protocol::kStatusWord, static_cast<std::uint32_t>(status));
    receive(protocol::kNeededWord, needed);
    receive(protocol::kFreeWord, free);
  }
  bool read(protocol::MailboxCollector& collector) {
    return collector.read(
        warp_, op_, mailbox_, kEnd, [&](std::uint32_t index, std::uint32_t value) {
          taken_.emplace_back(index, value);
        });
  }
  void expect_failure(const Failure& got, const Failure& wanted) {
    EXPECT_EQ(got.kind, wanted.kind);
    EXPECT_EQ(got.rank, wanted.rank);
    EXPECT_EQ(got.needed, wanted.needed);
    EXPECT_EQ(got.available, wanted.available);
  }

  sim::Heaps heaps_;
  sim::WeakMemory memory_;
  sim::SimWarp warp_;
  protocol::LocalFlags flags_;
  protocol::Failure failure_;
  protocol::OperationArgs op_;
  Word* mailbox_ = nullptr;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> taken_;
};

TEST_F(MailboxTest, CollectorTakesEachWordOnceWhenTheyArriveOneByOne) {
  protocol::MailboxCollector collector;
  EXPECT_FALSE(read(collector));
  receive_head(kSignature, Status::kAccepted, 0, 0);
  EXPECT_FALSE(read(collector));
  receive(protocol::kNumHeadWords + 1, 77);
  EXPECT_FALSE(read(collector)) << "words arrive in any order";
  EXPECT_TRUE(taken_.empty());
  receive(protocol::kNumHeadWords, 66);
  EXPECT_TRUE(read(collector));
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> wanted{{4, 66}, {5, 77}};
  EXPECT_EQ(taken_, wanted);
  EXPECT_FALSE(collector.failed());
}

TEST_F(MailboxTest, CollectorSaysWhatItSawWhenAWordIsOfAnotherEpoch) {
  protocol::MailboxCollector collector;
  collector.next_peer();
  receive_head(kSignature, Status::kAccepted, 0, 0);
  mailbox_[protocol::kNumHeadWords] = make_word(kEpoch - 4, 5);
  EXPECT_FALSE(read(collector));
  const protocol::WaitPoint wait = collector.wait_point(protocol::WaitKind::kCounts, op_);
  EXPECT_EQ(wait.kind, protocol::WaitKind::kCounts);
  EXPECT_EQ(wait.peer, 1);
  EXPECT_EQ(wait.expected, make_word(kEpoch, 0));
  EXPECT_EQ(wait.seen, make_word(kEpoch - 4, 5));
}

TEST_F(MailboxTest, CollectorStopsAtTheHeadOnlyWhenTheOperationDiffers) {
  protocol::MailboxCollector collector;
  receive_head(kSignature + 1, Status::kAccepted, 0, 0);
  EXPECT_TRUE(read(collector));
  EXPECT_TRUE(taken_.empty());
  expect_failure(collector.failure(), {FailureKind::kMismatch, 0, kSignature, kSignature + 1});
  collector.next_peer();
  receive_head(kSignature, Status::kAccepted, 0, 0);
  EXPECT_FALSE(read(collector)) << "the next peer's operation is this one: its words are needed";
}

TEST_F(MailboxTest, CollectorKeepsTheFirstFailureWhenThereAreSeveral) {
  protocol::MailboxCollector collector;
  receive(protocol::kNumHeadWords, 0);
  receive(protocol::kNumHeadWords + 1, 0);
  receive_head(kSignature, Status::kHeapTooSmall, 10, 3);
  EXPECT_TRUE(read(collector));
  collector.next_peer();
  receive_head(kSignature, Status::kOutputTooSmall, 5, 4);
  EXPECT_TRUE(read(collector));
  collector.note({FailureKind::kCorrupt, 1, 0, 0});
  expect_failure(
      collector.failure(),
      {FailureKind::kHeapTooSmall, 0, 10 * protocol::kRegionUnit, 3 * protocol::kRegionUnit});
}

TEST_F(MailboxTest, CollectorForgetsARefusalWhenThePeerChanges) {
  protocol::MailboxCollector collector;
  receive(protocol::kNumHeadWords, 0);
  receive(protocol::kNumHeadWords + 1, 0);
  receive_head(kSignature, Status::kAccepted, 10, 3);
  EXPECT_TRUE(read(collector));
  EXPECT_FALSE(collector.failed()) << "numbers without a refusal mean nothing";
  collector.next_peer();
  receive_head(kSignature, static_cast<Status>(9), 0, 0);
  EXPECT_TRUE(read(collector));
  expect_failure(collector.failure(), {FailureKind::kCorrupt, 1, 9, 0});
}

TEST_F(MailboxTest, HeadOfARefusalArrivesAsItWasMeant) {
  const struct {
    Failure refusal;
    std::uint64_t needed;
    std::uint64_t available;
  } cases[] = {
      // Heap bytes travel in pages: what is needed rounded up, what is free rounded down.
      {{FailureKind::kHeapTooSmall,
        0,
        2 * protocol::kRegionUnit + 1,
        3 * protocol::kRegionUnit - 1},
       3 * protocol::kRegionUnit,
       2 * protocol::kRegionUnit},
      {{FailureKind::kHeapTooSmall, 0, std::uint64_t{1} << 40U, 0}, std::uint64_t{1} << 40U, 0},
      {{FailureKind::kOutputTooSmall, 0, 1001, 1000}, 1001, 1000},
  };
  receive(protocol::kNumHeadWords, 0);
  receive(protocol::kNumHeadWords + 1, 0);
  for (const auto& each : cases) {
    post_head(warp_, mailbox_, op_, each.refusal);
    memory_.publish_all();
    protocol::MailboxCollector collector;
    EXPECT_TRUE(read(collector));
    expect_failure(collector.failure(), {each.refusal.kind, 0, each.needed, each.available});
  }
}

TEST_F(MailboxTest, FailureIsReadableWheneverTheFlagIs) {
  EXPECT_FALSE(operation_failed(warp_, op_));
  fail_operation(warp_, op_, {FailureKind::kCorrupt, 7, 1, 2});
  EXPECT_TRUE(operation_failed(warp_, op_));
  expect_failure(failure_, {FailureKind::kCorrupt, 7, 1, 2});
}

}  // namespace
}  // namespace switchyard::test
