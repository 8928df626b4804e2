// The memory map of the rails, for many groups: no two areas of a node share a byte, each starts a
// cache line, the end is the sum, and one node keeps nothing.
#include "csrc/protocol/rail_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "csrc/protocol/control_block.h"

namespace switchyard::protocol {
namespace {

constexpr PostKind kPosts[] = {PostKind::kHello, PostKind::kVerdict};
constexpr RingKind kRings[] = {RingKind::kPackets, RingKind::kSums};

struct Extent {
  std::string name;
  std::uint64_t begin;
  std::uint64_t bytes;
};

void add_posts(const RailLayout& rails, int node, std::vector<Extent>& extents) {
  for (std::uint32_t slot = 0; slot < rails.num_slots; ++slot) {
    for (const PostKind kind : kPosts) {
      const std::string of = " of node " + std::to_string(node) + " slot " + std::to_string(slot) +
                             " kind " + std::to_string(static_cast<int>(kind));
      const std::uint64_t bytes = rails.post_words * sizeof(Word);
      extents.push_back({"arrival" + of, rails.arrival(node, slot, kind), sizeof(Word)});
      extents.push_back({"post in" + of, rails.post_in(node, slot, kind), bytes});
      extents.push_back({"post out" + of, rails.post_out(node, slot, kind), bytes});
    }
  }
}

void add_rings(const RailLayout& rails, int node, std::vector<Extent>& extents) {
  for (int channel = 0; channel < static_cast<int>(rails.num_channels); ++channel) {
    for (const RingKind ring : kRings) {
      const std::string of = " of node " + std::to_string(node) + " channel " +
                             std::to_string(channel) + " ring " +
                             std::to_string(static_cast<int>(ring));
      extents.push_back({"tail" + of, rails.tail(node, channel, ring), sizeof(Word)});
      extents.push_back({"head" + of, rails.head(node, channel, ring), sizeof(Word)});
      extents.push_back({"ring in" + of, rails.ring_in(node, channel, ring), rails.ring_bytes});
      extents.push_back({"ring out" + of, rails.ring_out(node, channel, ring), rails.ring_bytes});
    }
  }
}

/// Everything that a rank keeps for other nodes, in the order of the heap.
std::vector<Extent> extents_of(const RailLayout& rails) {
  std::vector<Extent> extents;
  for (int node = 0; node < static_cast<int>(rails.num_nodes); ++node) {
    add_posts(rails, node, extents);
    add_rings(rails, node, extents);
  }
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return a.begin < b.begin;
  });
  return extents;
}

/// Ranks a node, nodes, slots, channels, experts a rank, ring bytes: each of several.
std::vector<ControlLayout> many_layouts() {
  std::vector<ControlLayout> layouts;
  for (const std::uint32_t ranks : {1U, 3U, 8U}) {
    for (const std::uint32_t nodes : {2U, 5U}) {
      for (const std::uint32_t slots : {1U, 2U, 8U}) {
        for (const std::uint32_t channels : {1U, 2U, 9U}) {
          for (const std::uint32_t experts : {1U, 5U}) {
            for (const std::uint64_t ring_bytes : {256U, 272U, 4096U}) {
              layouts.push_back({ranks * nodes, slots, channels, experts, nodes, ring_bytes});
            }
          }
        }
      }
    }
  }
  return layouts;
}

std::string describe(const ControlLayout& layout) {
  return std::to_string(layout.num_nodes) + " nodes of " +
         std::to_string(layout.num_ranks / layout.num_nodes) + " ranks, " +
         std::to_string(layout.num_slots) + " slots, " + std::to_string(layout.num_channels) +
         " channels, rings of " + std::to_string(layout.ring_bytes) + " bytes";
}

TEST(RailLayout, NothingOverlapsWhenTheGroupHasAnyShape) {
  for (const ControlLayout& layout : many_layouts()) {
    SCOPED_TRACE(describe(layout));
    const std::vector<Extent> extents = extents_of(layout.rails());
    ASSERT_GE(extents.front().begin, layout.rails().begin);
    for (std::size_t i = 1; i < extents.size(); ++i) {
      ASSERT_LE(extents[i - 1].begin + extents[i - 1].bytes, extents[i].begin)
          << extents[i - 1].name << " reaches into " << extents[i].name;
    }
    ASSERT_LE(extents.back().begin + extents.back().bytes, layout.rails().end());
    ASSERT_LE(layout.rails().end(), layout.block_bytes());
  }
}

TEST(RailLayout, EveryAreaStartsACacheLine) {
  for (const ControlLayout& layout : many_layouts()) {
    SCOPED_TRACE(describe(layout));
    for (const Extent& extent : extents_of(layout.rails())) {
      ASSERT_EQ(extent.begin % RailLayout::kLine, 0U) << extent.name;
    }
  }
}

TEST(RailLayout, IsAsLargeAsItsPartsInLines) {
  for (const ControlLayout& layout : many_layouts()) {
    std::uint64_t bytes = 0;
    for (const Extent& extent : extents_of(layout.rails())) {
      bytes += round_up(extent.bytes, RailLayout::kLine);
    }
    EXPECT_EQ(layout.rails().end(), layout.rails().begin + bytes) << describe(layout);
  }
}

TEST(RailLayout, BeginsBehindTheMailboxesOfTheNode) {
  for (const ControlLayout& layout : many_layouts()) {
    SCOPED_TRACE(describe(layout));
    const int last_source = static_cast<int>(layout.num_ranks) - 1;
    const int last_channel = static_cast<int>(layout.num_channels) - 1;
    EXPECT_GE(layout.rails().begin,
              layout.progress(layout.num_slots - 1, last_source, last_channel) + sizeof(Word));
  }
}

TEST(RailLayout, HoldsTheLongestPosts) {
  for (const ControlLayout& layout : many_layouts()) {
    const std::uint32_t ranks = layout.num_ranks / layout.num_nodes;
    // Head, packets of each channel, rows and tokens of each expert of each rank, check.
    const std::uint64_t hello = kNumHeadWords + layout.num_channels +
                                std::uint64_t{ranks} * (1 + layout.max_experts_per_rank) + 1;
    EXPECT_EQ(layout.rails().post_words, hello) << describe(layout);
    EXPECT_GE(layout.rails().post_words, kNumVerdictWords + 1U) << describe(layout);
  }
}

TEST(RailLayout, OneNodeKeepsNothing) {
  for (const ControlLayout& layout : many_layouts()) {
    ControlLayout alone = layout;
    alone.num_nodes = 1;
    ControlLayout without = alone;
    without.ring_bytes = 0;
    EXPECT_EQ(alone.rails().end(), alone.rails().begin) << describe(layout);
    EXPECT_EQ(alone.rails().num_rings(), 0U) << describe(layout);
    EXPECT_EQ(alone.block_bytes(), without.block_bytes()) << describe(layout);
  }
}

TEST(RailLayout, EveryRingHasAPlaceOfItsOwnInTables) {
  for (const ControlLayout& layout : many_layouts()) {
    SCOPED_TRACE(describe(layout));
    const RailLayout rails = layout.rails();
    std::set<std::uint32_t> places;
    for (int node = 0; node < static_cast<int>(rails.num_nodes); ++node) {
      for (int channel = 0; channel < static_cast<int>(rails.num_channels); ++channel) {
        for (const RingKind ring : kRings) {
          const std::uint32_t place = rails.ring_index(node, channel, ring);
          ASSERT_LT(place, rails.num_rings());
          ASSERT_TRUE(places.insert(place).second) << "place " << place << " is taken twice";
        }
      }
    }
    EXPECT_EQ(places.size(), rails.num_rings());
  }
}

TEST(RailTracks, AreAllDifferentAndAsManyAsIsSaid) {
  for (const int channels : {1, 2, 9}) {
    std::set<std::int32_t> indices{post_track(3).index};
    for (int channel = 0; channel < channels; ++channel) {
      for (const RingKind ring : kRings) {
        for (const RailTrack track :
             {packet_track(3, channel, ring), credit_track(3, channel, ring)}) {
          EXPECT_EQ(track.node, 3);
          EXPECT_GE(track.index, 0);
          EXPECT_LT(track.index, num_rail_tracks(channels));
          EXPECT_TRUE(indices.insert(track.index).second) << "track " << track.index << " is taken";
        }
      }
    }
    EXPECT_EQ(static_cast<std::int32_t>(indices.size()), num_rail_tracks(channels));
  }
}

}  // namespace
}  // namespace switchyard::protocol
