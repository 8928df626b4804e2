// Both ends of a track over the modelled network, step by step: what fits, where packets lie, whose
// turn it is.
#include "csrc/protocol/rail_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "csrc/targets/sim/heaps.h"
#include "csrc/targets/sim/network.h"
#include "csrc/targets/sim/sim_warp.h"
#include "tests/support/seeds.h"

namespace switchyard::test {
namespace {

using protocol::RingConsumer;
using protocol::RingKind;
using protocol::RingProducer;
using protocol::Word;

/// Two nodes of one rank: rank 0 produces, rank 1 consumes.
class Track {
 public:
  explicit Track(std::uint64_t ring_bytes, const sim::NetworkOptions& network = {}, int seed = 1)
      : heaps_({2, 2, 1, 1, 2, ring_bytes}, 1U << 16U),
        memory_(heaps_, static_cast<std::uint64_t>(seed)),
        network_(memory_, static_cast<std::uint64_t>(seed), network) {
    for (sim::SimWarp& warp : warps_) {
      warp.attach(network_);
    }
    for (auto& ends : ends_) {
      ends.resize(heaps_.control().rails().num_rings());
    }
  }

  /// Operation `number`, with packets of `packet_bytes`, takes the place of the one before.
  void start(std::uint64_t number, std::uint64_t packet_bytes, std::uint64_t previous) {
    for (int rank = 0; rank < 2; ++rank) {
      protocol::OperationArgs& op = ops_.emplace_back();
      op.peers = heaps_.peers(rank);
      op.place = {rank, 2};
      op.control = heaps_.control();
      op.number = number;
      op.ring_ends = ends_[static_cast<std::size_t>(rank)].data();
    }
    const auto op = ops_.end() - 2;
    producer = RingProducer(&op[0], {1, 0, RingKind::kPackets}, previous, packet_bytes);
    consumer = RingConsumer(&op[1], {0, 0, RingKind::kPackets}, previous, packet_bytes);
  }
  bool begin_producer() { return settle() && producer.begin(warps_[0]); }
  bool begin_consumer() { return settle() && consumer.begin(warps_[1]); }
  void begin(std::uint64_t number, std::uint64_t packet_bytes, std::uint64_t previous = 0) {
    start(number, packet_bytes, previous);
    ASSERT_TRUE(begin_producer());
    ASSERT_TRUE(begin_consumer());
  }
  void end() {
    producer.end(warps_[0]);
    consumer.end(warps_[1]);
  }

  bool has_room() { return producer.has_room(warps_[0]); }
  /// Fills one packet. Returns its offset in the ring.
  std::uint64_t fill(std::uint32_t value) {
    std::byte* const packet = producer.fill();
    const std::array<std::uint32_t, 4> words{value, ~value, value * 3, 7};
    warps_[0].store_words(packet, words.data(), 4);
    return offset_in(0, packet, rails().ring_out(1, 0, RingKind::kPackets));
  }
  bool publish() { return producer.publish(warps_[0]); }
  /// Fills and sends one packet where there must be room.
  void send(std::uint32_t value) {
    ASSERT_TRUE(has_room());
    fill(value);
    ASSERT_TRUE(publish());
  }

  bool has_packet() { return consumer.has_packet(warps_[1]); }
  bool credit() { return consumer.credit(warps_[1]); }
  [[nodiscard]] std::uint64_t packet_offset() {
    return offset_in(1, consumer.packet(), rails().ring_in(0, 0, RingKind::kPackets));
  }
  /// Takes the next packet, which must be there and hold `value`.
  void expect_packet(std::uint32_t value) {
    ASSERT_TRUE(has_packet());
    const auto* words = reinterpret_cast<const std::uint32_t*>(consumer.packet());
    EXPECT_EQ(warps_[1].load_word(words), value);
    EXPECT_EQ(warps_[1].load_word(words + 1), ~value);
    consumer.take();
  }

  /// Everything on its way arrives.
  void deliver() {
    memory_.publish_all();
    while (network_.deliver_one()) {
    }
  }
  bool deliver_one() { return network_.deliver_one(); }
  /// The producer's rank says how far it has come.
  void receive_tail(Word tail) {
    *reinterpret_cast<Word*>(heaps_.peers(1).local(rails().tail(0, 0, RingKind::kPackets))) = tail;
  }

  RingProducer producer;
  RingConsumer consumer;

 private:
  [[nodiscard]] protocol::RailLayout rails() const { return heaps_.control().rails(); }
  [[nodiscard]] std::uint64_t offset_in(int rank, const std::byte* at, std::uint64_t ring) const {
    return static_cast<std::uint64_t>(at - heaps_.peers(rank).local(ring));
  }
  bool settle() {
    memory_.publish_all();
    return true;
  }

  sim::Heaps heaps_;
  sim::WeakMemory memory_;
  sim::Network network_;
  std::array<sim::SimWarp, 2> warps_{sim::SimWarp(memory_, 0, "producer"),
                                     sim::SimWarp(memory_, 1, "consumer")};
  std::array<std::vector<protocol::RingEnds>, 2> ends_;
  std::deque<protocol::OperationArgs> ops_;
};

TEST(RailRing, FillsToItsCapacityThenBlocksUntilCredit) {
  Track track(96);
  track.begin(1, 32);
  for (std::uint32_t i = 0; i < 3; ++i) {
    track.send(i);
  }
  EXPECT_FALSE(track.has_room());
  track.deliver();
  EXPECT_FALSE(track.has_room()) << "arrived is not read";
  track.expect_packet(0);
  EXPECT_TRUE(track.consumer.owes_credit());
  EXPECT_FALSE(track.has_room()) << "read is not given back";
  ASSERT_TRUE(track.credit());
  EXPECT_FALSE(track.consumer.owes_credit());
  EXPECT_FALSE(track.has_room()) << "the credit is on its way";
  track.deliver();
  track.send(3);
  EXPECT_FALSE(track.has_room()) << "one packet was given back";
  track.deliver();
  for (std::uint32_t i = 1; i < 4; ++i) {
    track.expect_packet(i);
  }
  EXPECT_FALSE(track.has_packet());
}

TEST(RailRing, HasNoPacketBeforeItIsPublishedAndArrived) {
  Track track(96);
  track.begin(1, 32);
  ASSERT_TRUE(track.has_room());
  track.fill(5);
  track.deliver();
  EXPECT_FALSE(track.has_packet());
  ASSERT_TRUE(track.publish());
  EXPECT_FALSE(track.has_packet());
  track.deliver();
  track.expect_packet(5);
}

TEST(RailRing, EndsAChunkAtTheEndOfTheRing) {
  Track track(96);
  track.begin(1, 32);
  track.send(0);
  track.deliver();
  track.expect_packet(0);
  ASSERT_TRUE(track.credit());
  track.deliver();
  ASSERT_TRUE(track.has_room());
  EXPECT_EQ(track.fill(1), 32U);
  ASSERT_TRUE(track.has_room());
  EXPECT_EQ(track.fill(2), 64U);
  EXPECT_EQ(track.producer.num_unpublished(), 2);
  EXPECT_FALSE(track.has_room()) << "the next is no neighbour of what goes with this put";
  ASSERT_TRUE(track.publish());
  EXPECT_EQ(track.producer.num_unpublished(), 0);
  ASSERT_TRUE(track.has_room());
  EXPECT_EQ(track.fill(3), 0U);
  ASSERT_TRUE(track.publish());
  track.deliver();
  for (std::uint32_t i = 1; i < 4; ++i) {
    track.expect_packet(i);
  }
}

TEST(RailRing, LeavesAGapWhereAPacketWouldLieAcrossTheEnd) {
  Track track(80);
  track.begin(1, 32);
  track.send(0);
  ASSERT_TRUE(track.has_room());
  EXPECT_EQ(track.fill(1), 32U);
  EXPECT_FALSE(track.has_room());
  ASSERT_TRUE(track.publish());
  EXPECT_FALSE(track.has_room()) << "the first packet lies where the next goes";
  track.deliver();
  track.expect_packet(0);
  ASSERT_TRUE(track.credit());
  track.deliver();
  ASSERT_TRUE(track.has_room());
  EXPECT_EQ(track.fill(2), 0U);
  ASSERT_TRUE(track.publish());
  track.deliver();
  track.expect_packet(1);
  EXPECT_EQ(track.packet_offset(), 0U);
  track.expect_packet(2);
  EXPECT_FALSE(track.consumer.is_overrun());
}

TEST(RailRing, EndsAChunkBeforeAGap) {
  Track track(80);
  track.begin(1, 32);
  track.send(0);
  track.deliver();
  track.expect_packet(0);
  ASSERT_TRUE(track.credit());
  track.deliver();
  ASSERT_TRUE(track.has_room());
  track.fill(1);
  EXPECT_FALSE(track.has_room()) << "there is room, behind the gap";
  ASSERT_TRUE(track.publish());
  EXPECT_TRUE(track.has_room());
}

TEST(RailRing, GoesOnWithRoomForOnePacketAlone) {
  for (const std::uint64_t ring_bytes : {32U, 48U}) {
    SCOPED_TRACE("ring of " + std::to_string(ring_bytes) + " bytes");
    Track track(ring_bytes);
    track.begin(1, 32);
    for (std::uint32_t i = 0; i < 5; ++i) {
      track.send(i);
      EXPECT_FALSE(track.has_room());
      track.deliver();
      EXPECT_EQ(track.packet_offset(), 0U);
      track.expect_packet(i);
      EXPECT_FALSE(track.has_packet());
      ASSERT_TRUE(track.credit());
      track.deliver();
    }
  }
}

TEST(RailRing, GoesOnWithAnotherPacketSizeInTheNextOperation) {
  Track track(80);
  track.begin(1, 64);
  track.send(0);
  track.deliver();
  track.expect_packet(0);
  ASSERT_TRUE(track.credit());
  track.deliver();
  track.end();
  track.begin(2, 80, 1);
  ASSERT_TRUE(track.has_room()) << "nothing is unread: the gap counts for nothing";
  EXPECT_EQ(track.fill(1), 0U);
  ASSERT_TRUE(track.publish());
  track.deliver();
  EXPECT_EQ(track.packet_offset(), 0U);
  track.expect_packet(1);
  EXPECT_FALSE(track.consumer.is_overrun());
  ASSERT_TRUE(track.credit());
  track.end();
  track.deliver();
  track.begin(3, 16, 2);
  track.send(2);
  track.deliver();
  track.expect_packet(2);
}

TEST(RailRing, TakesTurnsInTheirOrder) {
  Track track(96);
  track.begin(1, 32);
  const RingProducer first_producer = track.producer;
  const RingConsumer first_consumer = track.consumer;
  track.start(3, 32, 2);
  EXPECT_FALSE(track.begin_producer());
  EXPECT_FALSE(track.begin_consumer());
  track.start(2, 32, 1);
  EXPECT_FALSE(track.begin_producer()) << "operation 1 is not done";
  EXPECT_FALSE(track.begin_consumer()) << "operation 1 is not done";
  EXPECT_EQ(track.producer.turn_wait().expected, 1U);
  track.producer = first_producer;
  track.consumer = first_consumer;
  track.send(0);
  track.deliver();
  track.expect_packet(0);
  track.end();
  track.start(3, 32, 2);
  EXPECT_FALSE(track.begin_producer()) << "operation 2 comes first";
  EXPECT_FALSE(track.begin_consumer()) << "operation 2 comes first";
  track.begin(2, 32, 1);
  track.send(1);
  track.end();
  track.start(2, 32, 1);
  EXPECT_FALSE(track.begin_producer()) << "its turn is over";
  EXPECT_FALSE(track.begin_consumer()) << "its turn is over";
  track.start(3, 32, 2);
  EXPECT_TRUE(track.begin_producer());
  EXPECT_TRUE(track.begin_consumer());
}

TEST(RailRing, WaitsForTheWholePacket) {
  Track track(96);
  track.begin(1, 32);
  track.receive_tail(31);
  EXPECT_FALSE(track.has_packet());
  track.receive_tail(32);
  EXPECT_TRUE(track.has_packet());
}

TEST(RailRing, RefusesATailBeyondWhatThereIsRoomFor) {
  Track track(96);
  track.begin(1, 32);
  track.receive_tail(96 + 32);
  EXPECT_TRUE(track.has_packet());
  EXPECT_FALSE(track.consumer.is_overrun()) << "a full ring and a gap";
  Track beyond(96);
  beyond.begin(1, 32);
  beyond.receive_tail(96 + 32 + 1);
  EXPECT_TRUE(beyond.has_packet());
  EXPECT_TRUE(beyond.consumer.is_overrun());
}

TEST(RailRing, KeepsWhatItCouldNotSendWhileTheNetworkIsFull) {
  sim::NetworkOptions network;
  network.max_messages = 1;
  Track track(96, network);
  track.begin(1, 32);
  track.send(0);
  ASSERT_TRUE(track.has_room());
  track.fill(1);
  EXPECT_FALSE(track.publish());
  EXPECT_EQ(track.producer.num_unpublished(), 1);
  track.deliver();
  track.expect_packet(0);
  EXPECT_FALSE(track.has_packet());
  ASSERT_TRUE(track.publish());
  track.deliver();
  track.expect_packet(1);
}

/// Steps of either end and arrivals in random order, until all packets are read.
void exchange(Track& track, std::mt19937& random, std::uint32_t num_packets) {
  std::uint32_t filled = 0;
  std::uint32_t taken = 0;
  for (int step = 0; taken < num_packets && !testing::Test::HasFailure(); ++step) {
    ASSERT_LT(step, 100'000) << "stuck behind packet " << taken;
    const bool fills = random() % 2 == 0;
    if (fills && filled < num_packets && track.has_room()) {
      track.fill(filled++);
    } else if (fills && track.producer.num_unpublished() != 0) {
      ASSERT_TRUE(track.publish());
    } else if (!fills && track.has_packet()) {
      track.expect_packet(taken++);
    } else if (!fills && track.consumer.owes_credit()) {
      ASSERT_TRUE(track.credit());
    }
    if (random() % 3 == 0) {
      track.deliver_one();
    }
    EXPECT_FALSE(track.consumer.is_overrun());
  }
}

TEST(RailRing, BringsEveryPacketInOrderHoweverTheNetworkIs) {
  for_each_seed(300, [](std::uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(static_cast<std::uint32_t>(seed));
    const std::uint64_t ring_bytes = 16 * (4 + random() % 12);
    sim::NetworkOptions network;
    network.duplicate = 0.1;
    Track track(ring_bytes, network, static_cast<int>(seed));
    for (std::uint64_t number = 1; number <= 4; ++number) {
      const std::uint64_t packet_bytes = 16 * (1 + random() % (ring_bytes / 16));
      track.begin(number, packet_bytes, number - 1);
      exchange(track, random, 12);
      while (track.consumer.owes_credit()) {
        ASSERT_TRUE(track.credit());
      }
      track.end();
    }
  });
}

}  // namespace
}  // namespace switchyard::test
