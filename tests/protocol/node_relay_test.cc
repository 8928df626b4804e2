// What a rank does for the rank of another node that it stands for: its hellos to the ranks here,
// their answers, and the verdict that goes back.
#include "csrc/protocol/node_relay.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <vector>

#include "csrc/targets/sim/heaps.h"
#include "csrc/targets/sim/network.h"
#include "csrc/targets/sim/sim_warp.h"

namespace switchyard::test {
namespace {

using protocol::Failure;
using protocol::FailureKind;
using protocol::MailboxCollector;
using protocol::MailboxWriter;
using protocol::MessageKind;
using protocol::PostKind;
using protocol::Progress;
using protocol::Word;

/// Two nodes of two ranks; this is rank 0, which stands for rank 2.
class NodeRelayTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kSignature = 0xabcd;
  static constexpr int kExperts = 2;  ///< of a rank
  static constexpr std::uint32_t kHelloEnd = protocol::kFirstCountWord + kExperts;

  NodeRelayTest() {
    warp_.attach(network_);
    protocol::OperationArgs& op = args_.op;
    op.peers = heaps_.peers(0);
    op.place = {0, 2};
    op.control = heaps_.control();
    op.number = 9;
    op.epoch = 9;
    op.signature = kSignature;
    op.flags = &flags_;
    op.failure = &failure_;
    args_.problem.experts_per_rank = kExperts;
    args_.relay = {packets_.data(), rows_.data()};
    args_.placement.base = bases_.data();
  }

  /// From rank 2: packets of the channel; rows and tokens for each expert, for rank 0 and rank 1.
  void receive_hello(std::uint32_t signature = kSignature) {
    protocol::OperationArgs theirs = args_.op;
    theirs.signature = signature;
    MailboxWriter hello(protocol::post_from(args_.op, 1, PostKind::kHello),
                        theirs,
                        theirs.check(MessageKind::kRailHello, 2, 0),
                        Failure{});
    for (const std::uint32_t value : {5U, 3U, 1U, 2U, 4U, 4U, 0U}) {
      hello.put(peer_, value);
    }
    hello.post(peer_);
    memory_.publish_all();
    *reinterpret_cast<Word*>(args_.op.peers.local(
        args_.op.rails().arrival(1, args_.op.slot(), PostKind::kHello))) = args_.op.number;
  }
  /// From `peer`, to rank 2: its rows go to `base` of `num_rows`; or a refusal.
  void receive_answer(int peer, std::uint32_t base, const Failure& refusal = {}) {
    MailboxWriter answer(args_.op.answer_from(peer, 1),
                         args_.op,
                         args_.op.check(MessageKind::kAnswer, peer, 2),
                         refusal);
    for (const std::uint32_t value : {7U, 10U, base}) {
      answer.put(peer_, value);
    }
    answer.post(peer_);
  }
  /// Steps until nothing more can be done.
  Progress run() {
    Progress progress = Progress::kAdvanced;
    while (progress == Progress::kAdvanced) {
      memory_.publish_all();
      progress = relay_.step(warp_);
    }
    memory_.publish_all();
    return progress;
  }
  /// What `peer` reads in the mailbox of rank 2.
  bool read_hello(int peer, MailboxCollector& hello, std::vector<std::uint32_t>& values) {
    return hello.read(warp_,
                      args_.op,
                      MessageKind::kHello,
                      args_.op.hello_at(peer, 2),
                      kHelloEnd,
                      [&](std::uint32_t, std::uint32_t value) { values.push_back(value); });
  }
  void expect_hello(int peer, const std::vector<std::uint32_t>& wanted) {
    MailboxCollector hello(2, peer);
    std::vector<std::uint32_t> values;
    EXPECT_TRUE(read_hello(peer, hello, values)) << "peer " << peer;
    EXPECT_FALSE(hello.failed()) << "peer " << peer;
    EXPECT_EQ(values, wanted) << "peer " << peer;
  }
  void expect_verdict(FailureKind kind, std::uint32_t refuser) {
    MailboxCollector verdict(0, 2);
    std::uint32_t got = 0;
    EXPECT_TRUE(verdict.read(warp_,
                             args_.op,
                             MessageKind::kVerdict,
                             protocol::post_to(args_.op, 1, PostKind::kVerdict),
                             protocol::kNumVerdictWords,
                             [&](std::uint32_t, std::uint32_t value) { got = value; }));
    EXPECT_EQ(verdict.failure().kind, kind);
    EXPECT_EQ(got, refuser);
  }

  sim::Heaps heaps_{{4, 2, 1, kExperts, 2, 256}, 1U << 17U};
  sim::WeakMemory memory_{heaps_, 1};
  sim::Network network_{memory_, 1};
  sim::SimWarp warp_{memory_, 0, "relay"};
  sim::SimWarp peer_{memory_, 1, "peer"};
  protocol::LocalFlags flags_;
  Failure failure_;
  std::array<std::int32_t, 2> packets_{};
  std::array<std::int32_t, 4> rows_{};
  std::array<std::int32_t, 4> bases_{};
  protocol::DispatchArgs args_;
  protocol::NodeRelay relay_{&args_};
};

TEST_F(NodeRelayTest, HelloGoesToEachPeerWithTheCountsForIt) {
  EXPECT_EQ(run(), Progress::kBlocked);
  EXPECT_EQ(relay_.wait().kind, protocol::WaitKind::kNodeHello);
  receive_hello();
  EXPECT_EQ(run(), Progress::kBlocked);
  EXPECT_EQ(relay_.wait().kind, protocol::WaitKind::kAnswer);
  expect_hello(0, {3, 1, 2});
  expect_hello(1, {4, 4, 0});
  EXPECT_EQ(packets_[1], 5);
  EXPECT_EQ(rows_[2], 3);
  EXPECT_EQ(rows_[3], 4);
}

TEST_F(NodeRelayTest, MismatchGoesOnAsAHeadThatDisagrees) {
  receive_hello(kSignature + 1);
  run();
  for (int peer = 0; peer < 2; ++peer) {
    MailboxCollector hello(2, peer);
    std::vector<std::uint32_t> values;
    EXPECT_TRUE(read_hello(peer, hello, values)) << "nothing behind the head is waited for";
    EXPECT_TRUE(values.empty());
    EXPECT_NE(protocol::word_tag(args_.op.hello_at(peer, 2)[protocol::kNumHeadWords + 1]),
              args_.op.epoch)
        << "values that mean another operation are not passed on";
    EXPECT_EQ(hello.failure().kind, FailureKind::kMismatch);
    EXPECT_EQ(hello.head().words[protocol::kStatusWord],
              static_cast<std::uint32_t>(protocol::Status::kDisagrees));
  }
}

TEST_F(NodeRelayTest, VerdictAcceptsWhenEveryRankDoes) {
  receive_hello();
  run();
  receive_answer(1, 6);
  EXPECT_EQ(run(), Progress::kBlocked) << "rank 0 has not answered";
  receive_answer(0, 2);
  EXPECT_EQ(run(), Progress::kDone);
  expect_verdict(FailureKind::kNone, static_cast<std::uint32_t>(-1));
  EXPECT_EQ(bases_[2], 2);
  EXPECT_EQ(bases_[3], 6);
  EXPECT_EQ(flags_.relayed, 1U);
}

TEST_F(NodeRelayTest, VerdictCarriesTheFirstRefusalInRankOrder) {
  receive_hello();
  receive_answer(1, 0, {FailureKind::kHeapTooSmall, 1, 8192, 4096});
  run();
  receive_answer(0, 0, {FailureKind::kOutputTooSmall, 0, 9, 3});
  EXPECT_EQ(run(), Progress::kDone);
  expect_verdict(FailureKind::kOutputTooSmall, 0);
}

TEST_F(NodeRelayTest, BasesBeyondTheLandingEndTheGroup) {
  receive_hello();
  receive_answer(0, 2);
  receive_answer(1, 7);  // four rows, of ten
  EXPECT_EQ(run(), Progress::kDone);
  EXPECT_EQ(flags_.corrupt, 1U + 1U) << "rank 1";
}

TEST_F(NodeRelayTest, ABaseBeforeTheLandingEndsTheGroup) {
  receive_hello();
  receive_answer(0, 0xffffffffU);
  receive_answer(1, 6);
  EXPECT_EQ(run(), Progress::kDone);
  EXPECT_EQ(flags_.corrupt, 0U + 1U) << "rank 0";
}

TEST_F(NodeRelayTest, LeavesWhenNobodyWillAnswer) {
  receive_hello();
  EXPECT_EQ(run(), Progress::kBlocked);
  flags_.failed = 1;
  flags_.answered = 1;
  EXPECT_EQ(run(), Progress::kBlocked) << "answers are on their way";
  flags_.answered = 0;
  EXPECT_EQ(run(), Progress::kDone);
}

}  // namespace
}  // namespace switchyard::test
