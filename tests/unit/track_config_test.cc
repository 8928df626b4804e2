// The fields of a Config that speak of tracks between nodes: their ranges, and that a token fits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "csrc/runtime/config_agreement.h"
#include "csrc/runtime/operation.h"
#include "switchyard/config.h"
#include "switchyard/error.h"
#include "tests/support/refusal.h"

namespace switchyard::runtime {
namespace {

using test::text_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

void check_track_bytes(std::uint64_t bytes) {
  Config config;
  config.track_bytes = bytes;
  check_config(config);
}

void check_chunk_packets(int packets) {
  Config config;
  config.chunk_packets = packets;
  check_config(config);
}

TEST(TrackConfig, TakesTrackBytesFromTheSmallestToTheLargest) {
  for (const std::uint64_t bytes :
       {std::uint64_t{256}, std::uint64_t{272}, std::uint64_t{1} << 30U}) {
    EXPECT_NO_THROW(check_track_bytes(bytes)) << bytes;
  }
}

TEST(TrackConfig, RefusesTrackBytesOutOfRangeOrNoMultipleOfSixteen) {
  for (const std::uint64_t bytes : {std::uint64_t{0},
                                    std::uint64_t{240},
                                    std::uint64_t{264},
                                    (std::uint64_t{1} << 30U) + 16,
                                    ~std::uint64_t{15}}) {
    EXPECT_THAT(text_of<InvalidArgument>([&] { check_track_bytes(bytes); }),
                AllOf(HasSubstr("Config::track_bytes: got " + std::to_string(bytes)),
                      HasSubstr("256 to 1073741824, a multiple of 16")));
  }
}

TEST(TrackConfig, TakesChunkPacketsFromOneToTheMost) {
  EXPECT_NO_THROW(check_chunk_packets(1));
  EXPECT_NO_THROW(check_chunk_packets(4096));
}

TEST(TrackConfig, RefusesChunkPacketsOutOfRange) {
  for (const int packets : {-1, 0, 4097}) {
    EXPECT_THAT(
        text_of<InvalidArgument>([&] { check_chunk_packets(packets); }),
        AllOf(HasSubstr("chunk_packets: got " + std::to_string(packets)), HasSubstr("1 to 4096")));
  }
}

TEST(TrackConfig, IsToldInWords) {
  Config config;
  config.track_bytes = 4096;
  config.chunk_packets = 7;
  EXPECT_THAT(config.to_string(),
              AllOf(HasSubstr("track_bytes = 4096\n"), HasSubstr("chunk_packets = 7\n")));
}

OperationContext context_of(int num_nodes, std::uint64_t track_bytes) {
  OperationContext context;
  context.op.place.num_nodes = num_nodes;
  context.op.control.ring_bytes = track_bytes;
  return context;
}

TEST(TrackPacket, IsRefusedByNameWhenLargerThanTheTrack) {
  EXPECT_THAT(text_of<InvalidArgument>([] { check_packet(context_of(2, 4096), 4112); }),
              AllOf(HasSubstr("Config::track_bytes: got 4096"), HasSubstr("at least the 4112")));
}

TEST(TrackPacket, IsTakenWhenItFillsTheTrack) {
  EXPECT_NO_THROW(check_packet(context_of(2, 4096), 4096));
}

TEST(TrackPacket, IsOfNoConcernToOneNode) {
  EXPECT_NO_THROW(check_packet(context_of(1, 0), 4112));
}

}  // namespace
}  // namespace switchyard::runtime
