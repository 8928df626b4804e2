// The memory map of mailboxes and counters, for many groups: no two words share an address, every
// mailbox starts a cache line, the end is the size.
#include "csrc/protocol/control_block.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace switchyard::protocol {
namespace {

struct Extent {
  std::string name;
  std::uint64_t begin;
  std::uint64_t bytes;
};

/// Everything that a peer may write, or that is read as one thing.
std::vector<Extent> extents_of(const ControlLayout& layout) {
  const std::uint64_t word = sizeof(Word);
  const std::uint64_t experts = layout.max_experts_per_rank;
  std::vector<Extent> extents{{"bell", layout.bell(), sizeof(Bell)},
                              {"error record", layout.error_record(), sizeof(ErrorRecord)}};
  for (std::uint32_t slot = 0; slot < layout.num_slots; ++slot) {
    extents.push_back({"descriptor", layout.descriptor(slot), sizeof(OperationDescriptor)});
    for (int source = 0; source < static_cast<int>(layout.num_ranks); ++source) {
      const std::string of =
          " of slot " + std::to_string(slot) + " source " + std::to_string(source);
      const std::uint64_t hello =
          std::max<std::uint64_t>(kFirstCountWord + experts, kNumAnnounceWords) + 1;  // a check
      extents.push_back({"hello" + of, layout.hello(slot, source), hello * word});
      extents.push_back(
          {"answer" + of, layout.answer(slot, source), (kFirstBaseWord + experts + 1) * word});
      extents.push_back({"permit" + of, layout.permit(slot, source), kNumPermitWords * word});
      extents.push_back(
          {"progress" + of, layout.progress(slot, source, 0), layout.num_channels * word});
    }
  }
  return extents;
}

std::vector<ControlLayout> many_layouts() {
  std::vector<ControlLayout> layouts;
  for (const std::uint32_t ranks : {1U, 2U, 7U, 64U}) {
    for (const std::uint32_t slots : {1U, 2U, 8U, 32U}) {
      for (const std::uint32_t channels : {1U, 3U, 8U, 9U, 64U}) {
        for (const std::uint32_t experts : {1U, 2U, 3U, 64U}) {
          layouts.push_back({ranks, slots, channels, experts});
        }
      }
    }
  }
  return layouts;
}

std::string describe(const ControlLayout& layout) {
  return std::to_string(layout.num_ranks) + " ranks, " + std::to_string(layout.num_slots) +
         " slots, " + std::to_string(layout.num_channels) + " channels, " +
         std::to_string(layout.max_experts_per_rank) + " experts a rank";
}

TEST(ControlBlock, NothingOverlapsWhenTheGroupHasAnyShape) {
  for (const ControlLayout& layout : many_layouts()) {
    SCOPED_TRACE(describe(layout));
    std::vector<Extent> extents = extents_of(layout);
    std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
      return a.begin < b.begin;
    });
    for (std::size_t i = 1; i < extents.size(); ++i) {
      ASSERT_LE(extents[i - 1].begin + extents[i - 1].bytes, extents[i].begin)
          << extents[i - 1].name << " reaches into " << extents[i].name;
    }
    ASSERT_LE(extents.back().begin + extents.back().bytes, layout.block_bytes());
  }
}

TEST(ControlBlock, EveryMailboxStartsACacheLineWhenTheGroupHasAnyShape) {
  for (const ControlLayout& layout : many_layouts()) {
    SCOPED_TRACE(describe(layout));
    for (const Extent& extent : extents_of(layout)) {
      ASSERT_EQ(extent.begin % ControlLayout::kLine, 0U) << extent.name;
    }
    EXPECT_EQ(layout.block_bytes() % kBlockAlignment, 0U);
  }
}

TEST(ControlBlock, IsNoLargerThanItsPartsRoundedToLines) {
  for (const ControlLayout& layout : many_layouts()) {
    std::uint64_t bytes = ControlLayout::kLine;  // between the bell and the error record
    for (const Extent& extent : extents_of(layout)) {
      bytes += round_up(extent.bytes, ControlLayout::kLine);
    }
    EXPECT_EQ(layout.block_bytes(), round_up(bytes, kBlockAlignment)) << describe(layout);
  }
}

TEST(ControlBlock, ProgressWordsFollowEachOtherWhenThereAreSeveralChannels) {
  const ControlLayout layout{4, 8, 5, 16};
  for (int channel = 1; channel < 5; ++channel) {
    EXPECT_EQ(layout.progress(3, 2, channel), layout.progress(3, 2, channel - 1) + sizeof(Word));
  }
}

TEST(EpochTag, LeadsFromSlotToSlotAndIsNeverZeroWhenItWraps) {
  for (std::uint32_t slots = 1; slots <= 32; ++slots) {
    const std::uint64_t wraps_near = std::uint64_t{1} << 32U;
    for (const std::uint64_t from :
         {std::uint64_t{1}, wraps_near - 3 * slots, 5 * wraps_near - 12 * slots}) {
      std::set<std::uint32_t> tags;
      for (std::uint64_t epoch = from; epoch < from + 16 * slots; ++epoch) {
        const std::uint32_t tag = epoch_tag(epoch, slots);
        ASSERT_NE(tag, 0U) << "what memory holds that was never written";
        ASSERT_TRUE(tags.insert(tag).second) << "epoch " << epoch << " of " << slots << " slots";
        ASSERT_EQ(epoch_tag(epoch + 1, slots) % slots, (tag + 1) % slots) << "epoch " << epoch;
      }
    }
  }
}

TEST(MailboxWord, KeepsTagAndValueApart) {
  const Word word = make_word(0xfedcba98U, 0x76543210U);
  EXPECT_EQ(word_tag(word), 0xfedcba98U);
  EXPECT_EQ(word_value(word), 0x76543210U);
  EXPECT_EQ(word_value(make_word(1, static_cast<std::uint32_t>(-1))), 0xffffffffU);
  EXPECT_EQ(word_tag(make_word(1, static_cast<std::uint32_t>(-1))), 1U);
}

TEST(MailboxWord, CarriesEveryOffsetOfTheLargestHeap) {
  // A region of a 16 TiB heap and a row of a 64 GiB one, in the units that travel.
  EXPECT_EQ(((std::uint64_t{16} << 40U) - kRegionUnit) / kRegionUnit, 0xffffffffU);
  EXPECT_EQ(((std::uint64_t{64} << 30U) - kRowUnit) / kRowUnit, 0xffffffffU);
}

}  // namespace
}  // namespace switchyard::protocol
