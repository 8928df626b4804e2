// Tagged words: a mailbox is complete when every word carries the tag, and not before.
#include "csrc/protocol/mailbox.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <utility>
#include <vector>

#include "csrc/targets/sim/heaps.h"
#include "csrc/targets/sim/sim_warp.h"

namespace switchyard::test {
namespace {

using protocol::Failure;
using protocol::FailureKind;
using protocol::make_word;
using protocol::MessageKind;
using protocol::Status;
using protocol::Word;

class MailboxTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kEpoch = 9;
  static constexpr std::uint32_t kSignature = 0xabcd;
  static constexpr std::uint32_t kEnd = protocol::kNumHeadWords + 2;

  MailboxTest() : heaps_({2, 4, 1, 8}, 1U << 16U), memory_(heaps_, 1), warp_(memory_, 0, "reader") {
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
    const std::uint32_t values[] = {signature, static_cast<std::uint32_t>(status), needed, free};
    for (std::uint32_t index = 0; index < protocol::kHeadCheckWord; ++index) {
      receive(index, values[index]);
    }
    receive(protocol::kHeadCheckWord, check_of({values[0], values[1], values[2], values[3]}));
  }
  /// Receives the values behind the head, and their check.
  void receive_values(std::uint32_t first, std::uint32_t second) {
    receive(protocol::kNumHeadWords, first);
    receive(protocol::kNumHeadWords + 1, second);
    receive(kEnd, check_of({first, second}));
  }
  /// What `from_` makes of these values.
  [[nodiscard]] std::uint32_t check_of(std::initializer_list<std::uint32_t> values) const {
    protocol::MessageCheck check(MessageKind::kHello, kEpoch, from_, 0);
    for (const std::uint32_t value : values) {
      check.add(value);
    }
    return check.value();
  }
  bool read(protocol::MailboxCollector& collector) {
    return collector.read(
        warp_,
        op_,
        MessageKind::kHello,
        mailbox_,
        kEnd,
        [&](std::uint32_t index, std::uint32_t value) { taken_.emplace_back(index, value); });
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
  int from_ = 0;
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
  EXPECT_FALSE(read(collector)) << "their check is missing";
  receive(kEnd, check_of({66, 77}));
  EXPECT_TRUE(read(collector));
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> wanted{{5, 66}, {6, 77}};
  EXPECT_EQ(taken_, wanted);
  EXPECT_FALSE(collector.failed());
}

TEST_F(MailboxTest, CollectorSaysWhatItSawWhenAWordIsOfAnotherEpoch) {
  protocol::MailboxCollector collector;
  collector.next_peer();
  from_ = 1;
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
  from_ = 1;
  receive_head(kSignature, Status::kAccepted, 0, 0);
  EXPECT_FALSE(read(collector)) << "the next peer's operation is this one: its words are needed";
}

TEST_F(MailboxTest, CollectorKeepsTheFirstFailureWhenThereAreSeveral) {
  protocol::MailboxCollector collector;
  receive_values(0, 0);
  receive_head(kSignature, Status::kHeapTooSmall, 10, 3);
  EXPECT_TRUE(read(collector));
  collector.next_peer();
  from_ = 1;
  receive_head(kSignature, Status::kOutputTooSmall, 5, 4);
  receive_values(0, 0);
  EXPECT_TRUE(read(collector));
  collector.note({FailureKind::kCorrupt, 1, 0, 0});
  expect_failure(
      collector.failure(),
      {FailureKind::kHeapTooSmall, 0, 10 * protocol::kRegionUnit, 3 * protocol::kRegionUnit});
}

TEST_F(MailboxTest, CollectorForgetsARefusalWhenThePeerChanges) {
  protocol::MailboxCollector collector;
  receive_values(0, 0);
  receive_head(kSignature, Status::kAccepted, 10, 3);
  EXPECT_TRUE(read(collector));
  EXPECT_FALSE(collector.failed()) << "numbers without a refusal mean nothing";
  collector.next_peer();
  from_ = 1;
  receive_head(kSignature, static_cast<Status>(9), 0, 0);
  receive_values(0, 0);
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
  for (const auto& each : cases) {
    protocol::MailboxWriter writer(
        mailbox_, op_, op_.check_to(0, MessageKind::kHello), each.refusal);
    writer.put(warp_, 1);
    writer.put(warp_, 2);
    writer.post(warp_);
    memory_.publish_all();
    protocol::MailboxCollector collector;
    EXPECT_TRUE(read(collector));
    expect_failure(collector.failure(), {each.refusal.kind, 0, each.needed, each.available});
  }
}

TEST_F(MailboxTest, CollectorNoticesEveryBitThatFlips) {
  receive_head(kSignature, Status::kAccepted, 0, 0);
  receive_values(66, 77);
  for (std::uint32_t index = 0; index <= kEnd; ++index) {
    for (std::uint32_t bit = 0; bit < 64; ++bit) {
      mailbox_[index] ^= Word{1} << bit;
      protocol::MailboxCollector collector;
      if (bit < 32) {
        EXPECT_TRUE(read(collector));
        EXPECT_EQ(collector.failure().kind, FailureKind::kDamaged) << index << ", bit " << bit;
        EXPECT_EQ(collector.failure().rank, 0);
      } else {
        EXPECT_FALSE(read(collector)) << "a word with another tag is not there yet";
      }
      mailbox_[index] ^= Word{1} << bit;
    }
  }
  protocol::MailboxCollector collector;
  EXPECT_TRUE(read(collector));
  EXPECT_FALSE(collector.failed());
}

TEST_F(MailboxTest, CollectorSaysWhichCheckItGotAndWhichItWanted) {
  receive_head(kSignature, Status::kAccepted, 0, 0);
  receive_values(66, 77);
  receive(protocol::kNumHeadWords, 67);
  protocol::MailboxCollector collector;
  EXPECT_TRUE(read(collector));
  expect_failure(collector.failure(),
                 {FailureKind::kDamaged, 0, check_of({67, 77}), check_of({66, 77})});
}

TEST_F(MailboxTest, CollectorBelievesNothingBehindADamagedHead) {
  receive_head(kSignature, Status::kAccepted, 0, 0);
  receive(protocol::kSignatureWord, kSignature ^ 1U);
  protocol::MailboxCollector collector;
  EXPECT_TRUE(read(collector)) << "nothing that follows is waited for";
  EXPECT_TRUE(taken_.empty());
  EXPECT_EQ(collector.failure().kind, FailureKind::kDamaged);
}

TEST_F(MailboxTest, CollectorTakesAMessageOfAnotherRankForDamaged) {
  from_ = 1;
  receive_head(kSignature, Status::kAccepted, 0, 0);
  receive_values(66, 77);
  protocol::MailboxCollector collector;
  EXPECT_TRUE(read(collector));
  EXPECT_EQ(collector.failure().kind, FailureKind::kDamaged);
}

TEST_F(MailboxTest, ProgressWordSaysWhoIsDoneWithWhat) {
  const protocol::MessageCheck check = op_.check_from(1, MessageKind::kProgress);
  const Word word = op_.progress_word(check, 2, 30);
  EXPECT_EQ(protocol::word_tag(word), kEpoch);
  EXPECT_NE(word, op_.progress_word(check, 3, 30));
  EXPECT_NE(word, op_.progress_word(check, 2, 31));
  EXPECT_NE(word, op_.progress_word(op_.check_from(0, MessageKind::kProgress), 2, 30));
  // A tag that flips into that of a later operation brings a wrong content along.
  for (std::uint32_t bit = 0; bit < 32; ++bit) {
    protocol::OperationArgs later = op_;
    later.epoch ^= 1U << bit;
    const Word theirs = later.progress_word(later.check_from(1, MessageKind::kProgress), 2, 30);
    EXPECT_NE(protocol::word_value(word), protocol::word_value(theirs)) << "bit " << bit;
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
