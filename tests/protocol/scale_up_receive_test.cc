// Scale-up receive of rank 1 of 3: when rows count as arrived, and what is done with them then.
// Counts, rows and arrival words are written by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "benchmarks/sim/guarded_buffer.h"
#include "tests/support/hand_made_peer.h"
#include "tests/support/seal_metadata.h"

namespace switchyard::test {
namespace {

using protocol::MetadataHeader;
using protocol::Progress;
using protocol::RoleKind;
using protocol::WaitKind;

class ScaleUpReceiveTest : public RoleTest {
 protected:
  explicit ScaleUpReceiveTest(const sim::WorldOptions& options = default_options())
      : RoleTest(options) {}

  /// The count exchange said so: rows of each source (expert-major: of each source and expert) and
  /// where they begin.
  void receive_counts(runtime::DispatchOperation& operation,
                      const std::vector<std::int32_t>& counts,
                      const std::vector<std::int32_t>& bases,
                      std::int64_t num_rows) {
    runtime::HandleState& handle = *operation.handle;
    const std::size_t per_source = bases.size() / kNumRanks;
    for (std::size_t source = 0; source < kNumRanks; ++source) {
      handle.rows_from[source] = 0;
      for (std::size_t i = 0; i < per_source; ++i) {
        handle.rows_from[source] += counts[source * per_source + i];
      }
    }
    // The roles hold pointers to these tables.
    if (per_source > 1) {
      std::copy(counts.begin(), counts.end(), handle.counts_from.begin());
    }
    std::copy(bases.begin(), bases.end(), handle.base_from.begin());
    handle.num_rows = num_rows;
    operation.region = allocate(kMe, operation.args.landing_of(num_rows).region_bytes());
    operation.flags.counted = 1;
  }
  /// Both channels of a source say that its rows are in this operation's region, as they are.
  void receive_arrival(const runtime::DispatchOperation& operation, int source) {
    seal_metadata(operation.args, source);
    for (int channel = 0; channel < 2; ++channel) {
      peer(operation, source).progress(channel, here(operation));
    }
  }
  [[nodiscard]] static std::uint32_t here(const runtime::DispatchOperation& operation) {
    return static_cast<std::uint32_t>(operation.region / protocol::kRegionUnit);
  }
  sim::SimRole& receive(const runtime::Operation& operation, int channel = 0) {
    return role(operation, RoleKind::kScaleUpReceive, channel);
  }
  std::byte* payload(const runtime::DispatchOperation& operation, std::uint64_t row) {
    return at(kMe, operation.region) +
           operation.args.landing_of(operation.handle->num_rows).payload_offset(row);
  }
  std::byte* metadata(const runtime::DispatchOperation& operation, std::uint64_t row) {
    return at(kMe, operation.region) +
           operation.args.landing_of(operation.handle->num_rows).metadata_offset(row);
  }
  void receive_row(const runtime::DispatchOperation& operation, std::uint64_t row, int value) {
    std::memset(payload(operation, row), value, kRowBytes);
  }
  void receive_header(const runtime::DispatchOperation& operation,
                      std::uint64_t row,
                      const MetadataHeader& header) {
    std::memcpy(metadata(operation, row), &header, sizeof(header));
  }
  static void expect_filled(const std::byte* at, std::size_t bytes, int value) {
    EXPECT_TRUE(std::all_of(
        at, at + bytes, [&](std::byte each) { return each == static_cast<std::byte>(value); }));
  }
  void expect_corrupt(runtime::DispatchOperation& operation, int source) {
    EXPECT_EQ(operation.flags.failed, 1U);
    EXPECT_EQ(operation.flags.corrupt, static_cast<protocol::Word>(source) + 1);
  }
};

TEST_F(ScaleUpReceiveTest, WaitsForTheCountExchangeThenForEachSourceThatSends) {
  const auto operation = dispatch({{0}});
  expect_blocked(receive(*operation), WaitKind::kLocalRole, -1);
  receive_counts(*operation, {2, 0, 1}, {0, 2, 2}, 3);
  expect_blocked(receive(*operation), WaitKind::kRows, 0);
  receive_arrival(*operation, 0);
  expect_blocked(receive(*operation), WaitKind::kRows, 2);
  receive_arrival(*operation, 2);
  expect_done(receive(*operation));
  EXPECT_EQ(operation->flags.failed, 0U);
}

TEST_F(ScaleUpReceiveTest, WaitsForEveryChannelOfASource) {
  const auto operation = dispatch({{0}});
  receive_counts(*operation, {2, 0, 0}, {0, 2, 2}, 2);
  seal_metadata(operation->args, 0);
  peer(*operation, 0).progress(1, here(*operation));
  expect_blocked(receive(*operation), WaitKind::kRows, 0);
  peer(*operation, 0).progress(0, here(*operation));
  expect_done(receive(*operation));
}

TEST_F(ScaleUpReceiveTest, IgnoresArrivalsOfThePastAndTheFuture) {
  const auto operation = dispatch({{0}});
  receive_counts(*operation, {2, 0, 0}, {0, 2, 2}, 2);
  const std::uint32_t epoch = operation->args.op.epoch;
  const std::uint32_t slots = operation->args.op.control.num_slots;
  receive_arrival(*operation, 0);
  for (const std::uint32_t other : {epoch - slots, epoch + slots}) {
    peer(*operation, 0).in_epoch(other).progress(1, here(*operation));
    expect_blocked(receive(*operation), WaitKind::kRows, 0);
    EXPECT_EQ(protocol::word_tag(receive(*operation).wait().seen), other);
  }
}

TEST_F(ScaleUpReceiveTest, FailsWhenRowsArrivedInAnotherRegion) {
  const auto operation = dispatch({{0}});
  receive_counts(*operation, {0, 0, 2}, {0, 0, 0}, 2);
  receive_arrival(*operation, 2);
  peer(*operation, 2).progress(1, here(*operation) + 1);
  expect_done(receive(*operation));
  expect_corrupt(*operation, 2);
  expect_done(receive(*operation, 1));
}

TEST_F(ScaleUpReceiveTest, FailsOnEveryBitOfMetadataThatFlips) {
  for (const Layout layout : {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded}) {
    const auto operation = dispatch({{0}}, layout);
    const bool per_expert = layout != Layout::kRankMajor;
    receive_counts(*operation,
                   per_expert ? std::vector<std::int32_t>{0, 0, 0, 0, 1, 1}
                              : std::vector<std::int32_t>{0, 0, 2},
                   per_expert ? std::vector<std::int32_t>{0, 1, 0, 1, 0, 1}
                              : std::vector<std::int32_t>{0, 0, 0},
                   2);
    receive_arrival(*operation, 2);
    sim::SimWarp warp(world_.memory(), kMe, "receiver");
    for (std::uint32_t bit = 0; bit < 8 * operation->args.problem.packet.metadata_bytes(); ++bit) {
      std::byte& damaged = metadata(*operation, 1)[bit / 8];
      damaged ^= std::byte{1} << (bit % 8);
      operation->flags = {.counted = 1};
      protocol::ScaleUpReceive role(&operation->args, 1);  // of two channels: it has row 1
      while (role.step(warp) == Progress::kAdvanced) {
      }
      world_.memory().publish_all();
      expect_corrupt(*operation, 2);
      damaged ^= std::byte{1} << (bit % 8);
    }
  }
}

TEST_F(ScaleUpReceiveTest, FailsOnMetadataOfAnotherRank) {
  const auto operation = dispatch({{0}});
  receive_counts(*operation, {0, 0, 2}, {0, 0, 0}, 2);
  receive_arrival(*operation, 2);
  auto& check = reinterpret_cast<MetadataHeader*>(metadata(*operation, 0))->check;
  check += operation->args.op.metadata_sum(0) - operation->args.op.metadata_sum(2);
  expect_done(receive(*operation));
  expect_corrupt(*operation, 2);
}

TEST_F(ScaleUpReceiveTest, CopiesItsShareOfEachSourceToTheCallersMemory) {
  const sim::GuardedBuffer out(5 * 32);
  const auto operation = dispatch({{0}}, Layout::kRankMajor, [&](DispatchRequest& request) {
    request.out_x = {out.data(), DType::kBf16, {5, kHidden}};
    request.out_x.strides[0] = 16;
  });
  receive_counts(*operation, {3, 0, 1}, {0, 3, 3}, 4);
  for (int row = 0; row < 4; ++row) {
    receive_row(*operation, static_cast<std::uint64_t>(row), row + 1);
  }
  receive_arrival(*operation, 0);
  expect_blocked(receive(*operation, 0), WaitKind::kRows, 2);
  receive_arrival(*operation, 2);
  expect_done(receive(*operation, 0));
  // Channel 0 of 2: one of three rows, none of one.
  expect_filled(out.data(), 16, 1);
  expect_filled(out.data() + 16, 4 * 32, 0xa5);
  expect_done(receive(*operation, 1));
  for (int row = 0; row < 4; ++row) {
    expect_filled(out.data() + row * 32, 16, row + 1);
    expect_filled(out.data() + row * 32 + 16, 16, 0xa5);
  }
  expect_filled(out.data() + 4 * 32, 32, 0xa5);
  EXPECT_TRUE(out.guards_intact());
}

TEST_F(ScaleUpReceiveTest, CopiesScalesToTheCallersMemoryToo) {
  const std::vector<std::byte> x(16);
  const std::vector<float> scales{1.0F};
  const sim::GuardedBuffer out(2 * 16);
  const sim::GuardedBuffer out_scales(2 * sizeof(float));
  const auto operation = dispatch({{0}}, Layout::kRankMajor, [&](DispatchRequest& request) {
    request.x = {x.data(), DType::kFp8E4m3, {1, 16}};
    request.scales = {scales.data(), DType::kFp32, {1, 1}};
    request.out_x = {out.data(), DType::kFp8E4m3, {2, 16}};
    request.out_scales = {out_scales.data(), DType::kFp32, {2, 1}};
  });
  receive_counts(*operation, {2, 0, 0}, {0, 2, 2}, 2);
  const protocol::LandingLayout landing = operation->args.landing_of(2);
  std::memset(at(kMe, operation->region) + landing.scales_offset(0), 3, 4);
  std::memset(at(kMe, operation->region) + landing.scales_offset(1), 4, 4);
  receive_arrival(*operation, 0);
  expect_done(receive(*operation, 0));
  expect_done(receive(*operation, 1));
  expect_filled(out_scales.data(), 4, 3);
  expect_filled(out_scales.data() + 4, 4, 4);
  EXPECT_TRUE(out_scales.guards_intact());
}

TEST_F(ScaleUpReceiveTest, ZeroesAlignmentRowsAndNothingElseWhenAsked) {
  const auto operation = dispatch({{0}}, Layout::kExpertMajor, [](DispatchRequest& request) {
    request.expert_alignment = 4;
    request.zero_padding = true;
  });
  receive_counts(*operation, {2, 0, 0, 0, 1, 1}, {0, 4, 2, 4, 2, 4}, 8);
  operation->handle->expert_offsets = {0, 4, 8};
  expect_blocked(receive(*operation, 0), WaitKind::kRows, 0);
  // Channel 0 has the first expert: its fourth row pads.
  expect_filled(payload(*operation, 0), 3 * kRowBytes, 0xa5);
  expect_filled(payload(*operation, 3), kRowBytes, 0);
  expect_filled(payload(*operation, 4), 4 * kRowBytes, 0xa5);
  expect_blocked(receive(*operation, 1), WaitKind::kRows, 0);
  expect_filled(payload(*operation, 4), kRowBytes, 0xa5);
  expect_filled(payload(*operation, 5), 3 * kRowBytes, 0);
  expect_filled(metadata(*operation, 5), 3 * operation->args.problem.packet.metadata_bytes(), 0);
  expect_filled(metadata(*operation, 4), operation->args.problem.packet.metadata_bytes(), 0xa5);
}

TEST_F(ScaleUpReceiveTest, TakesTurnsBetweenChunksOfRows) {
  const sim::GuardedBuffer out(8 * kRowBytes);
  const auto operation = dispatch({{0}}, Layout::kRankMajor, [&](DispatchRequest& request) {
    request.out_x = {out.data(), DType::kBf16, {8, kHidden}};
  });
  receive_counts(*operation, {8, 0, 0}, {0, 8, 8}, 8);
  for (int row = 0; row < 8; ++row) {
    receive_row(*operation, static_cast<std::uint64_t>(row), row + 1);
  }
  receive_arrival(*operation, 0);
  EXPECT_EQ(receive(*operation).step(), Progress::kAdvanced);  // counts
  EXPECT_EQ(receive(*operation).step(), Progress::kAdvanced);  // arrival
  EXPECT_EQ(receive(*operation).step(), Progress::kAdvanced);  // a chunk of two
  world_.memory().publish_all();
  expect_filled(out.data() + kRowBytes, kRowBytes, 2);
  expect_filled(out.data() + 2 * kRowBytes, 6 * kRowBytes, 0xa5);
}

class ScaleUpReceiveByReceiver : public ScaleUpReceiveTest {
 protected:
  ScaleUpReceiveByReceiver() : ScaleUpReceiveTest(options()) {}
  static sim::WorldOptions options() {
    sim::WorldOptions options = default_options();
    options.num_channels = 1;
    options.expert_copies = ExpertCopies::kByReceiver;
    return options;
  }
};

TEST_F(ScaleUpReceiveByReceiver, MakesTheCopiesThatMetadataNames) {
  const auto operation = dispatch({{0}}, Layout::kExpertMajor);
  // One token of rank 0 for both experts here, its payload in the second one's row.
  receive_counts(*operation, {1, 1, 0, 0, 0, 0}, {0, 1, 1, 2, 1, 2}, 2);
  receive_row(*operation, 1, 42);
  receive_header(*operation, 0, {0, 5, 1, 1});
  receive_header(*operation, 1, {0, 5, 0, 1});
  receive_arrival(*operation, 0);
  expect_done(receive(*operation));
  expect_filled(payload(*operation, 0), kRowBytes, 42);
  expect_filled(payload(*operation, 1), kRowBytes, 42);
}

TEST_F(ScaleUpReceiveByReceiver, MakesTheCopiesInTheCallersMemoryToo) {
  const sim::GuardedBuffer out(2 * kRowBytes);
  const auto operation = dispatch({{0}}, Layout::kExpertMajor, [&](DispatchRequest& request) {
    request.out_x = {out.data(), DType::kBf16, {2, kHidden}};
  });
  receive_counts(*operation, {1, 1, 0, 0, 0, 0}, {0, 1, 1, 2, 1, 2}, 2);
  receive_row(*operation, 1, 42);
  receive_header(*operation, 0, {0, 5, 1, 1});
  receive_header(*operation, 1, {0, 5, 0, 1});
  receive_arrival(*operation, 0);
  expect_done(receive(*operation));
  expect_filled(payload(*operation, 0), kRowBytes, 42);
  expect_filled(out.data(), 2 * kRowBytes, 42);
}

TEST_F(ScaleUpReceiveByReceiver, FailsWhenMetadataNamesARowOutsideTheLanding) {
  for (const std::int32_t row : {2, -1, 1 << 30}) {
    const auto operation = dispatch({{0}}, Layout::kExpertMajor);
    receive_counts(*operation, {0, 0, 0, 0, 1, 1}, {0, 1, 0, 1, 0, 1}, 2);
    receive_header(*operation, 0, {2, 5, 0, 0});
    receive_header(*operation, 1, {2, 5, 1, row});
    receive_arrival(*operation, 2);
    expect_done(receive(*operation));
    expect_corrupt(*operation, 2);
    for (const auto kind : {RoleKind::kCountExchange, RoleKind::kScaleUpSend}) {
      run(role(*operation, kind));
    }
    for (int from : {0, 2}) {
      peer(*operation, from).counts(0, {0, 0});
      peer(*operation, from).answer(allocate(from, 1), 2, {0, 0});
    }
    run(role(*operation, RoleKind::kCountExchange));
    world_.rank(kMe).finish(*operation);
  }
}

}  // namespace
}  // namespace switchyard::test
