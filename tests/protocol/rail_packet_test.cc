// Packets between nodes: every part in its place for any shape, and a route that is read back as it
// was stored, or refused.
#include "csrc/protocol/rail_packet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/targets/sim/heaps.h"
#include "csrc/targets/sim/sim_warp.h"

namespace switchyard::protocol {
namespace {

constexpr std::uint32_t kWanted = 0x89abcdefU;

std::vector<RailPacketLayout> many_packets() {
  std::vector<RailPacketLayout> packets;
  for (const std::uint32_t payload : {0U, 16U, 14336U}) {
    for (const std::uint32_t scales : {0U, 16U, 448U}) {
      for (std::uint32_t topk = 1; topk <= kMaxTopk; ++topk) {
        packets.push_back({payload, scales, topk});
      }
    }
  }
  return packets;
}

TEST(RailPacket, PartsFollowEachOtherAlignedInsideThePacket) {
  for (const RailPacketLayout& packet : many_packets()) {
    EXPECT_GE(packet.scales_offset(), packet.payload_bytes);
    EXPECT_GE(packet.route_offset(), packet.scales_offset() + packet.scales_bytes);
    EXPECT_EQ(packet.scales_offset() % kPartAlignment, 0U);
    EXPECT_EQ(packet.route_offset() % kPartAlignment, 0U);
    EXPECT_EQ(packet.packet_bytes() % kPartAlignment, 0U);
    EXPECT_GE(packet.packet_bytes(), packet.route_offset() + packet.route_words() * 4U);
  }
}

TEST(RailPacket, RouteHoldsItsWordsSideBySide) {
  for (const RailPacketLayout& packet : many_packets()) {
    EXPECT_GT(RailPacketLayout::kFirstExpertWord, RailPacketLayout::kCheckWord);
    EXPECT_EQ(packet.ordinal_word(), RailPacketLayout::kFirstExpertWord + packet.topk);
    EXPECT_EQ(packet.weight_word(), packet.ordinal_word() + packet.topk);
    EXPECT_EQ(packet.opener_word(), packet.weight_word() + packet.topk);
    EXPECT_GE(packet.route_words() * 4, packet.opener_word() * 4 + packet.topk);
    EXPECT_LT(packet.route_words() * 4, packet.opener_word() * 4 + packet.topk + kPartAlignment)
        << "padded, and no more";
    EXPECT_LE(packet.route_words(), kMaxRouteWords);
  }
}

TEST(RailSum, PartsFollowEachOtherAlignedInsideThePacket) {
  for (const std::uint32_t row : {16U, 14336U}) {
    for (std::uint32_t weights = 0; weights <= kMaxTopk; ++weights) {
      const RailSumLayout sum{row, weights};
      EXPECT_EQ(sum.packet_bytes() % kPartAlignment, 0U);
      EXPECT_EQ(sum.packet_bytes(), row + sum.note_words() * 4);
      EXPECT_GE(sum.note_words(), RailSumLayout::kFirstWeightWord + weights);
      EXPECT_LE(sum.note_words(), kMaxNoteWords);
    }
  }
}

/// A token of another node on its way through one packet in the heap of a rank.
class RelayedTokenTest : public ::testing::Test {
 protected:
  static constexpr std::int32_t kTopk = 5;
  static constexpr std::int32_t kRanks = 3;
  static constexpr std::int32_t kExpertsPerRank = 4;
  static constexpr std::int32_t kFirstRank = 3;  ///< of the node that the packet goes to
  static constexpr std::int32_t kToken = 4711;
  static constexpr std::int32_t kRows = 6;  ///< of the source for each expert

  RelayedTokenTest() : packet_(heaps_.peers(0).local(heaps_.allocate(0, 4096))) {
    tables_ = {experts_, ranks_, openers_, ordinals_, weights_, kTopk, kExpertsPerRank, true};
    sent_.read(tables_, 0, kFirstRank, kRanks);
    sent_.token = kToken;
    bounds_ = {kRanks, kExpertsPerRank, true, rows_.data()};
  }

  void store() { store_route(warp_, packet_, layout_, sent_, kExpertsPerRank, kWanted); }
  bool read() {
    memory_.publish_all();
    return got_.read(warp_, packet_, layout_, bounds_, kWanted);
  }
  [[nodiscard]] std::uint32_t& word(std::uint32_t index) {
    return reinterpret_cast<std::uint32_t*>(packet_)[index];
  }
  /// As a sender that is itself mistaken: the words are another's, and sealed.
  void forge(std::uint32_t index, std::uint32_t value) {
    memory_.publish_all();
    word(index) = value;
    seal_words(&word(0), layout_.route_words(), RailPacketLayout::kCheckWord, kWanted);
  }
  void forge_opener(std::uint32_t entry, std::uint32_t value) {
    memory_.publish_all();
    const std::uint32_t shift = 8 * (entry % 4);
    const std::uint32_t index = layout_.opener_word() + entry / 4;
    forge(index, (word(index) & ~(0xffU << shift)) | value << shift);
  }
  /// Stores a sound route, spoils it, and returns whether it is still taken.
  template <class Spoil>
  bool is_taken_after(const Spoil& spoil) {
    store();
    EXPECT_TRUE(read()) << "not spoilt yet";
    spoil();
    return read();
  }

  // Entry 2 is of another node; entry 3 names the expert of entry 0 again.
  std::int32_t experts_[kTopk] = {15, 12, 2, 15, 23};
  std::int32_t ranks_[kTopk] = {3, 3, 0, 3, 5};
  std::uint8_t openers_[kTopk] = {0, 1, 2, 0, 4};
  std::int32_t ordinals_[kTopk] = {5, 0, 99, 5, 2};
  float weights_[kTopk] = {0.25F, -1.5F, 7.0F, 0.0F, 3.0F};
  /// Of each expert, and of one more, so that a number out of bounds finds what looks sound.
  std::vector<std::int32_t> rows_ = std::vector<std::int32_t>(kRanks * kExpertsPerRank + 1, kRows);

  sim::Heaps heaps_{{1, 2, 1, 4}, 1U << 16U};
  sim::WeakMemory memory_{heaps_, 1};
  sim::SimWarp warp_{memory_, 0, "forwarder"};
  RailPacketLayout layout_{0, 0, kTopk};
  std::byte* packet_;
  EntryTables tables_;
  TokenEntries sent_;
  RouteBounds bounds_;
  RelayedToken got_;
};

TEST_F(RelayedTokenTest, IsReadBackAsItWasStored) {
  store();
  ASSERT_TRUE(read());
  EXPECT_EQ(got_.entries.token, kToken);
  EXPECT_TRUE(got_.entries.weighted);
  ASSERT_EQ(got_.entries.num, kTopk);
  for (int k = 0; k < kTopk; ++k) {
    SCOPED_TRACE("entry " + std::to_string(k));
    EXPECT_EQ(got_.entries.rank[k], k == 2 ? -1 : ranks_[k] - kFirstRank);
    EXPECT_EQ(got_.entries.local[k], k == 2 ? 0 : experts_[k] % kExpertsPerRank);
    EXPECT_EQ(TokenEntries::bits_float(got_.entries.weight[k]), weights_[k]);
    EXPECT_EQ(got_.entries.opener[k], openers_[k]);
    EXPECT_EQ(got_.entries.ordinal[k], ordinals_[k]);
    EXPECT_EQ(got_.entries.opens(k), sent_.opens(k));
  }
  EXPECT_EQ(got_.entries.row_weight(0), 0.25F) << "of both entries that share the row";
}

TEST_F(RelayedTokenTest, SaysThatThereAreNoWeights) {
  tables_.weight = nullptr;
  sent_.read(tables_, 0, kFirstRank, kRanks);
  store();
  ASSERT_TRUE(read());
  EXPECT_FALSE(got_.entries.weighted);
  EXPECT_EQ(got_.entries.token, 0);
}

TEST_F(RelayedTokenTest, IsReadBackForEveryTopk) {
  for (std::uint32_t topk = 1; topk <= kMaxTopk; ++topk) {
    SCOPED_TRACE("topk " + std::to_string(topk));
    std::vector<std::int32_t> experts(topk);
    std::vector<std::uint8_t> openers(topk);
    std::vector<std::int32_t> ordinals(topk);
    for (std::uint32_t k = 0; k < topk; ++k) {
      experts[k] = static_cast<std::int32_t>(k % (kRanks * kExpertsPerRank));
      openers[k] = static_cast<std::uint8_t>(k % (kRanks * kExpertsPerRank));
      ordinals[k] = experts[k] % kRows;
    }
    std::vector<std::int32_t> ranks(experts);
    std::for_each(ranks.begin(), ranks.end(), [](std::int32_t& rank) { rank /= kExpertsPerRank; });
    tables_ = {experts.data(),
               ranks.data(),
               openers.data(),
               ordinals.data(),
               nullptr,
               static_cast<std::int32_t>(topk),
               kExpertsPerRank,
               true};
    sent_.read(tables_, 0, 0, kRanks);
    layout_.topk = topk;
    store();
    ASSERT_TRUE(read());
    for (std::uint32_t k = 0; k < topk; ++k) {
      ASSERT_EQ(got_.entries.rank[k], ranks[k]);
      ASSERT_EQ(got_.entries.local[k], experts[k] % kExpertsPerRank);
      ASSERT_EQ(got_.entries.opener[k], openers[k]);
      ASSERT_EQ(got_.entries.ordinal[k], ordinals[k]);
    }
  }
}

TEST_F(RelayedTokenTest, IsRefusedWhenAnyBitFlips) {
  store();
  ASSERT_TRUE(read());
  for (std::uint32_t index = 0; index < layout_.route_words(); ++index) {
    for (std::uint32_t bit = 0; bit < 32; ++bit) {
      word(index) ^= 1U << bit;
      EXPECT_FALSE(read()) << "word " << index << " bit " << bit;
      word(index) ^= 1U << bit;
    }
  }
  EXPECT_TRUE(read());
}

TEST_F(RelayedTokenTest, IsRefusedWhenItWasSealedForAnother) {
  store_route(warp_, packet_, layout_, sent_, kExpertsPerRank, kWanted + 1);
  EXPECT_FALSE(read());
}

TEST_F(RelayedTokenTest, IsRefusedWhenAnExpertIsNoneOfTheNode) {
  const auto taken_with = [&](std::int32_t expert) {
    return is_taken_after(
        [&] { forge(RailPacketLayout::kFirstExpertWord + 4, static_cast<std::uint32_t>(expert)); });
  };
  EXPECT_TRUE(taken_with(kRanks * kExpertsPerRank - 1));
  EXPECT_FALSE(taken_with(kRanks * kExpertsPerRank));
  EXPECT_TRUE(taken_with(-1));
  EXPECT_FALSE(taken_with(-2));
  EXPECT_FALSE(taken_with(1 << 30));
}

TEST_F(RelayedTokenTest, IsRefusedWhenAnOrdinalIsNoRowOfItsExpert) {
  const auto taken_with = [&](std::int32_t ordinal) {
    return is_taken_after(
        [&] { forge(layout_.ordinal_word() + 1, static_cast<std::uint32_t>(ordinal)); });
  };
  EXPECT_TRUE(taken_with(kRows - 1));
  EXPECT_FALSE(taken_with(kRows));
  EXPECT_FALSE(taken_with(-1));
}

TEST_F(RelayedTokenTest, LooksUpTheRowsOfTheExpertOrOfTheRank) {
  store();
  rows_[0] = 0;  // of the expert of entry 1
  EXPECT_FALSE(read());
  bounds_.row_per_expert = false;  // of the rank of entries 0, 1 and 3 now
  rows_ = {kRows, 0, 3};
  bounds_.rows = rows_.data();
  EXPECT_TRUE(read()) << "rank 1 has no entry";
  rows_[0] = 5;
  EXPECT_FALSE(read()) << "entry 0 has ordinal 5";
  rows_[0] = kRows;
  rows_[2] = 2;
  EXPECT_FALSE(read()) << "entry 4 has ordinal 2";
}

TEST_F(RelayedTokenTest, IsRefusedWhenAnOpenerComesLater) {
  EXPECT_TRUE(is_taken_after([&] { forge_opener(1, 0); }));
  EXPECT_FALSE(is_taken_after([&] { forge_opener(1, 2); }));
  EXPECT_FALSE(is_taken_after([&] { forge_opener(0, 0xff); }));
  EXPECT_TRUE(is_taken_after([&] { forge_opener(2, 0xff); })) << "it names no expert here";
}

}  // namespace
}  // namespace switchyard::protocol
