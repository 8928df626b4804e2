// The packet and landing layouts, for many shapes: parts follow each other without overlap, begin
// where bulk copies can, and the end is the size.
#include "csrc/protocol/packet.h"

#include <gtest/gtest.h>

#include <vector>

#include "csrc/protocol/combine_args.h"

namespace switchyard::protocol {
namespace {

struct Part {
  const char* name;
  std::uint64_t begin;
  std::uint64_t bytes;
};

/// Parts in order, each at a multiple of `alignment`, none reaching into the next, the last one
/// ending within `alignment` of `end`.
void expect_in_order(const std::vector<Part>& parts, std::uint64_t alignment, std::uint64_t end) {
  std::uint64_t previous_end = 0;
  for (const Part& part : parts) {
    EXPECT_EQ(part.begin % alignment, 0U) << part.name;
    EXPECT_GE(part.begin, previous_end) << part.name;
    EXPECT_LT(part.begin - previous_end, alignment) << part.name << " leaves a hole";
    previous_end = part.begin + part.bytes;
  }
  EXPECT_GE(end, previous_end);
  EXPECT_LT(end - previous_end, alignment);
}

std::vector<PacketLayout> many_packets() {
  std::vector<PacketLayout> packets;
  for (const std::uint32_t payload : {16U, 32U, 4080U, 4096U, 4112U, 14336U}) {
    for (const std::uint32_t scales : {0U, 16U, 224U}) {
      for (const std::uint32_t index_bytes : {4U, 8U}) {
        for (const std::uint32_t entries : {1U, 2U, 3U, 7U, 8U, 31U, 32U}) {
          packets.push_back({payload, scales, index_bytes, entries});
        }
      }
    }
  }
  return packets;
}

TEST(Packet, PartsFollowEachOtherAlignedWhenOfAnyShape) {
  for (const PacketLayout& packet : many_packets()) {
    SCOPED_TRACE(testing::Message()
                 << packet.payload_bytes << " B payload, " << packet.scales_bytes << " B scales, "
                 << packet.num_entries << " entries of " << packet.index_bytes << " B");
    expect_in_order({{"payload", 0, packet.payload_bytes},
                     {"scales", packet.scales_offset(), packet.scales_bytes},
                     {"metadata", packet.metadata_offset(), packet.metadata_bytes()}},
                    kPartAlignment,
                    packet.packet_bytes());
  }
}

TEST(Packet, MetadataHoldsHeaderIndicesAndWeightsWhenOfAnyShape) {
  for (const PacketLayout& packet : many_packets()) {
    EXPECT_EQ(packet.indices_offset(), sizeof(MetadataHeader));
    EXPECT_EQ(packet.indices_offset() % packet.index_bytes, 0U);
    EXPECT_EQ(packet.weights_offset(),
              packet.indices_offset() + packet.num_entries * packet.index_bytes);
    EXPECT_GE(packet.metadata_bytes(),
              packet.weights_offset() + packet.num_entries * sizeof(float));
    EXPECT_EQ(packet.metadata_bytes() % kPartAlignment, 0U);
    EXPECT_LE(packet.metadata_bytes(), kMaxMetadataBytes);
  }
}

TEST(Packet, LargestMetadataIsThatOfTop32WithWideIndices) {
  const PacketLayout packet{16, 0, 8, kMaxTopk};
  EXPECT_EQ(packet.metadata_bytes(), kMaxMetadataBytes);
}

TEST(Landing, BlocksAndRowsDoNotOverlapWhenOfAnyShape) {
  for (const PacketLayout& packet : many_packets()) {
    for (const std::uint64_t rows : {0U, 1U, 2U, 127U, 4096U}) {
      const LandingLayout landing{packet, rows};
      expect_in_order({{"payload", landing.payload_offset(0), rows * packet.payload_bytes},
                       {"scales", landing.scales_offset(0), rows * packet.scales_bytes},
                       {"metadata", landing.metadata_offset(0), rows * packet.metadata_bytes()}},
                      kBlockAlignment,
                      landing.region_bytes());
      if (rows > 1) {
        EXPECT_EQ(landing.payload_offset(1), packet.payload_bytes);
        EXPECT_EQ(landing.scales_offset(1) - landing.scales_offset(0), packet.scales_bytes);
        EXPECT_EQ(landing.metadata_offset(rows - 1) + packet.metadata_bytes(),
                  landing.metadata_offset(0) + rows * packet.metadata_bytes());
      }
    }
  }
}

TEST(Landing, CountsPastTwoToTheThirtyTwoWhenRowsAreManyAndWide) {
  const LandingLayout landing{{1U << 30U, 0, 4, 1}, 1U << 20U};
  EXPECT_EQ(landing.payload_offset(1U << 20U), std::uint64_t{1} << 50U);
  EXPECT_GT(landing.region_bytes(), std::uint64_t{1} << 50U);
}

TEST(CopyIn, PartsDoNotOverlapWhenOfAnyShape) {
  for (const std::uint64_t rows : {0U, 1U, 3U, 1000U}) {
    for (const std::uint32_t row_bytes : {0U, 16U, 14336U}) {
      for (const std::uint32_t weights : {0U, 1U}) {
        for (const std::uint32_t entries : {0U, 1U, 8U, 32U}) {
          const CopyInLayout layout{rows, row_bytes, weights, entries};
          EXPECT_GE(layout.row_weights_offset(), rows * row_bytes);
          EXPECT_GE(layout.row_topk_weights_offset(),
                    layout.row_weights_offset() + rows * weights * sizeof(float));
          EXPECT_GE(layout.region_bytes(),
                    layout.row_topk_weights_offset() + rows * entries * sizeof(float));
          // Announced in kRowUnit.
          EXPECT_EQ(layout.row_weights_offset() % kRowUnit, 0U);
          EXPECT_EQ(layout.row_topk_weights_offset() % kRowUnit, 0U);
          const bool nothing = rows * (row_bytes + weights + entries) == 0;
          EXPECT_EQ(layout.region_bytes() == 0, nothing);
        }
      }
    }
  }
}

}  // namespace
}  // namespace switchyard::protocol
