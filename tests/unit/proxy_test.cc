// The proxy over a transport that the test plays: Push ..., Expect ...
#include "csrc/transport/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "csrc/transport/proxy_thread.h"
#include "switchyard/error.h"
#include "tests/support/fake_transport.h"
#include "tests/support/fifo_memory.h"

namespace switchyard::transport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Tracks 0 and 1 go to rank 1, track 2 to rank 2; two FIFOs of 64.
class ProxyTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kFifoCapacity = 64;

  Proxy& proxy(const ProxyOptions& options = {}) {
    proxy_ = std::make_unique<Proxy>(
        Proxy::Wiring{
            .transport = &transport_,
            .fifos = {first_.fifo(), second_.fifo()},
            .tracks = {{.track = 0, .peer = 1}, {.track = 1, .peer = 1}, {.track = 2, .peer = 2}},
            .completions = completions_,
            .on_fault = [this](const ProxyFault& fault) { faults_.push_back(fault); }},
        options);
    return *proxy_;
  }

  bool push(const Command& command) { return pusher_.try_push(host_, command); }
  bool push_to_second(const Command& command) { return second_pusher_.try_push(host_, command); }
  static Command put(std::uint32_t track,
                     std::uint64_t from,
                     std::uint64_t to,
                     std::uint64_t bytes) {
    return {.track = track, .remote_offset = to, .local_offset = from, .bytes = bytes};
  }
  static Command signal(std::uint32_t track, std::uint64_t counter, std::uint64_t value) {
    return {.kind = CommandKind::kSignal, .track = track, .remote_offset = counter, .value = value};
  }

  test::FakeTransport transport_{{1, 1, 2}};
  std::vector<Completion> completions_ = std::vector<Completion>(3);
  std::vector<ProxyFault> faults_;

 private:
  test::FifoMemory first_{kFifoCapacity};
  test::FifoMemory second_{kFifoCapacity};
  CommandPusher pusher_{first_.fifo()};
  CommandPusher second_pusher_{second_.fifo()};
  HostFifoMemory host_;
  std::unique_ptr<Proxy> proxy_;
};

TEST_F(ProxyTest, PostsWhatWasPushedInTheOrderOfItsTrack) {
  Proxy& proxy = this->proxy();
  EXPECT_FALSE(proxy.step());
  push(put(0, 0, 128, 64));
  push(signal(0, 8, 1));
  push(put(0, 512, 0, 32));
  push(signal(0, 8, 2));
  EXPECT_TRUE(proxy.step());
  EXPECT_THAT(transport_.take_log(),
              ElementsAre("put 0: 64 from 0 to 128",
                          "signal 0: 8 = 1",
                          "put 0: 32 from 512 to 0",
                          "signal 0: 8 = 2"));
  EXPECT_FALSE(proxy.step());
  EXPECT_EQ(transport_.num_polls(), 3);
  EXPECT_EQ(proxy.counters().commands, 4U);
}

TEST_F(ProxyTest, MergesNeighboursAndNothingElse) {
  Proxy& proxy = this->proxy({.max_merged_bytes = 256});
  push(put(0, 0, 1024, 64));
  push(put(0, 64, 1088, 64));    // neighbour
  push(put(0, 128, 2048, 64));   // there is a gap at the target
  push(put(0, 256, 2112, 64));   // and one at the source
  push(put(1, 320, 2176, 64));   // another track
  push(put(2, 384, 2240, 64));   // another peer
  push(put(2, 448, 2304, 192));  // neighbour, 256 together
  push(put(2, 640, 2496, 16));   // too much together
  push(signal(2, 8, 1));
  push(put(2, 656, 2512, 16));  // a signal lies between
  proxy.step();
  EXPECT_THAT(transport_.take_log(),
              ElementsAre("put 0: 128 from 0 to 1024",
                          "put 0: 64 from 128 to 2048",
                          "put 0: 64 from 256 to 2112",
                          "put 1: 64 from 320 to 2176",
                          "put 2: 256 from 384 to 2240",
                          "put 2: 16 from 640 to 2496",
                          "signal 2: 8 = 1",
                          "put 2: 16 from 656 to 2512"));
  EXPECT_EQ(proxy.counters().commands, 10U);
  EXPECT_EQ(proxy.counters().postings, 8U);
}

TEST_F(ProxyTest, KeepsToTheWindowOfEachPeer) {
  Proxy& proxy = this->proxy({.window_bytes = 100});
  push(put(0, 0, 0, 64));
  push(put(1, 512, 512, 48));  // 112 together
  push(signal(1, 8, 1));
  push(put(2, 0, 0, 96));
  proxy.step();
  EXPECT_THAT(transport_.take_log(), ElementsAre("put 0: 64 from 0 to 0", "put 2: 96 from 0 to 0"));
  transport_.complete(0, 8);  // 56 + 48 are still too much
  EXPECT_TRUE(proxy.step());
  EXPECT_THAT(transport_.take_log(), IsEmpty());
  EXPECT_EQ(completions_[0].bytes, 8U);
  transport_.complete(0, 8);
  EXPECT_TRUE(proxy.step());
  EXPECT_THAT(transport_.take_log(), ElementsAre("put 1: 48 from 512 to 512", "signal 1: 8 = 1"));
  EXPECT_GT(proxy.counters().window_stalls, 0U);
}

TEST_F(ProxyTest, LetsAPutLargerThanTheWindowGoAlone) {
  Proxy& proxy = this->proxy({.window_bytes = 100});
  push(put(0, 0, 0, 16));
  push(put(1, 0, 0, 4096));
  proxy.step();
  EXPECT_THAT(transport_.take_log(), ElementsAre("put 0: 16 from 0 to 0"));
  transport_.complete(0, 16);
  proxy.step();
  EXPECT_THAT(transport_.take_log(), ElementsAre("put 1: 4096 from 0 to 0"));
}

TEST_F(ProxyTest, TriesAgainWhatTheTransportHadNoRoomFor) {
  Proxy& proxy = this->proxy();
  transport_.set_full(true);
  push(put(0, 0, 0, 16));
  push(signal(0, 8, 1));
  proxy.step();
  EXPECT_THAT(transport_.take_log(), IsEmpty());
  EXPECT_FALSE(proxy.is_idle());
  transport_.set_full(false);
  proxy.step();
  EXPECT_THAT(transport_.take_log(), ElementsAre("put 0: 16 from 0 to 0", "signal 0: 8 = 1"));
}

TEST_F(ProxyTest, WritesBackWhatHasCompletedByTrack) {
  Proxy& proxy = this->proxy();
  push(put(0, 0, 0, 64));
  push(put(0, 64, 64, 64));  // merged: completions count bytes
  push(put(1, 0, 0, 32));
  proxy.step();
  EXPECT_EQ(completions_[0].bytes, 0U);
  transport_.complete(0, 64);
  EXPECT_TRUE(proxy.step());
  EXPECT_EQ(completions_[0].bytes, 64U);
  EXPECT_EQ(completions_[1].bytes, 0U);
  EXPECT_FALSE(proxy.is_idle());
  transport_.complete(0, 64);
  transport_.complete(1, 32);
  proxy.step();
  EXPECT_EQ(completions_[0].bytes, 128U);
  EXPECT_EQ(completions_[1].bytes, 32U);
  EXPECT_FALSE(proxy.step());
  EXPECT_TRUE(proxy.is_idle());
  push(put(0, 0, 0, 16));
  proxy.step();
  transport_.complete(0, 16);
  proxy.step();
  EXPECT_EQ(completions_[0].bytes, 144U);
}

TEST_F(ProxyTest, HoldsUpNobodyElsesPeerWhenOnePeersQueueIsFull) {
  Proxy& proxy = this->proxy({.window_bytes = 16});
  push(put(0, 0, 0, 16));
  std::uint64_t num_pushed = 1;
  for (int round = 0; round < 40; ++round) {
    // No neighbours: every one takes a place in the queue.
    while (push(put(0, 32 * num_pushed, 32 * num_pushed, 16))) {
      ++num_pushed;
    }
    proxy.step();
  }
  EXPECT_EQ(num_pushed, 1 + PeerQueue::kCapacity + kFifoCapacity);
  (void)transport_.take_log();
  push_to_second(put(2, 0, 0, 16));
  proxy.step();
  EXPECT_THAT(transport_.take_log(), ElementsAre("put 2: 16 from 0 to 0"));
}

TEST_F(ProxyTest, ReportsALostPeerOnceAndServesTheOthers) {
  Proxy& proxy = this->proxy();
  push(put(0, 0, 0, 16));
  proxy.step();
  transport_.lose(1);
  push(put(1, 0, 0, 16));
  push(signal(1, 8, 1));
  push(put(2, 0, 0, 16));
  proxy.step();
  push(signal(0, 8, 1));
  push(signal(2, 8, 1));
  proxy.step();
  EXPECT_THAT(transport_.take_log(),
              ElementsAre("put 0: 16 from 0 to 0", "put 2: 16 from 0 to 0", "signal 2: 8 = 1"));
  ASSERT_EQ(faults_.size(), 1U);
  EXPECT_EQ(faults_[0].peer, 1);
  EXPECT_EQ(faults_[0].what, "rank 1 is gone");
  EXPECT_EQ(proxy.counters().dropped, 3U);
}

TEST_F(ProxyTest, NoticesALostPeerThatNobodyWritesTo) {
  Proxy& proxy = this->proxy();
  transport_.lose(2);
  for (int round = 0; round < 1000 && faults_.empty(); ++round) {
    proxy.step();
  }
  ASSERT_EQ(faults_.size(), 1U);
  EXPECT_EQ(faults_[0].peer, 2);
}

TEST_F(ProxyTest, RefusesACommandOnATrackThatIsNotThereAndAllAfterIt) {
  Proxy& proxy = this->proxy();
  push(put(3, 0, 0, 16));
  push(signal(2, 8, 1));
  proxy.step();
  proxy.step();
  EXPECT_THAT(transport_.take_log(), IsEmpty());
  ASSERT_EQ(faults_.size(), 1U);
  EXPECT_EQ(faults_[0].peer, -1);
  EXPECT_THAT(faults_[0].what, HasSubstr("names track 3, wanted one below 3"));
  EXPECT_EQ(proxy.counters().dropped, 2U);
}

TEST_F(ProxyTest, RefusesWhatTheTransportRefusesAndAllAfterIt) {
  Proxy& proxy = this->proxy();
  push(put(0, 0, test::FakeTransport::kRegionBytes, 16));
  push(signal(2, 8, 1));
  proxy.step();
  push(signal(0, 8, 1));
  proxy.step();
  EXPECT_THAT(transport_.take_log(), IsEmpty());
  ASSERT_EQ(faults_.size(), 1U);
  EXPECT_EQ(faults_[0].peer, -1);
  EXPECT_THAT(faults_[0].what, HasSubstr("outside its region"));
  EXPECT_EQ(proxy.counters().dropped, 3U);
}

TEST_F(ProxyTest, RefusesWiringThatDoesNotFitTogether) {
  test::FifoMemory memory(4);
  const auto wire = [&](const CommandFifo& fifo, std::size_t num_tracks, std::uint64_t window) {
    return Proxy({.transport = &transport_,
                  .fifos = {fifo},
                  .tracks = std::vector<ProxyTrack>(num_tracks),
                  .completions = completions_,
                  .on_fault = {}},
                 {.window_bytes = window});
  };
  EXPECT_NO_THROW(wire(memory.fifo(), 3, 1));
  EXPECT_THROW(wire(memory.fifo(), 2, 1), InvalidArgument);
  EXPECT_THROW(wire({memory.fifo().memory, 3}, 3, 1), InvalidArgument);
  EXPECT_THROW(wire({memory.fifo().memory + 16, 4}, 3, 1), InvalidArgument);
  EXPECT_THROW(wire(memory.fifo(), 3, 0), InvalidArgument);
}

TEST_F(ProxyTest, RunsOnAThreadOfItsOwnAndStops) {
  Proxy& proxy = this->proxy();
  {
    const ProxyThread thread(proxy, {.cpu = 0});
    push(signal(0, 8, 7));
  }
  proxy.step();  // what the thread may have left
  EXPECT_THAT(transport_.take_log(), ElementsAre("signal 0: 8 = 7"));
  EXPECT_THROW(ProxyThread(proxy, {.cpu = 100'000}), SystemError);
}

}  // namespace
}  // namespace switchyard::transport
