// Scale-up send of rank 1 of 3: each token once to each row that destinations gave it, then the
// word that says so. Destinations' answers are written by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "benchmarks/sim/reference_math.h"
#include "tests/support/hand_made_peer.h"

namespace switchyard::test {
namespace {

using protocol::MetadataHeader;
using protocol::Progress;
using protocol::RoleKind;
using protocol::WaitKind;

class ScaleUpSendTest : public RoleTest {
 protected:
  explicit ScaleUpSendTest(const sim::WorldOptions& options = default_options())
      : RoleTest(options) {}

  /// Answers of all ranks: `rows_of_rank` rows each, this rank's first rows at `bases`.
  void receive_placement(runtime::DispatchOperation& operation,
                         const std::vector<std::int32_t>& rows_of_rank,
                         const std::vector<std::int32_t>& bases) {
    // The roles hold pointers to these tables.
    std::copy(rows_of_rank.begin(), rows_of_rank.end(), operation.handle->rows_of_rank.begin());
    std::copy(bases.begin(), bases.end(), operation.handle->base.begin());
    for (int rank = 0; rank < kNumRanks; ++rank) {
      const auto rows = rows_of_rank[static_cast<std::size_t>(rank)];
      operation.region_of_rank[static_cast<std::size_t>(rank)] =
          allocate(rank, operation.args.landing_of(rows).region_bytes());
    }
    operation.flags.placed = 1;
  }
  sim::SimRole& send(const runtime::Operation& operation, int channel = 0) {
    return role(operation, RoleKind::kScaleUpSend, channel);
  }
  [[nodiscard]] protocol::LandingLayout landing(const runtime::DispatchOperation& operation,
                                                int rank) {
    return operation.args.landing_of(
        operation.handle->rows_of_rank[static_cast<std::size_t>(rank)]);
  }
  const std::byte* payload(const runtime::DispatchOperation& operation,
                           int rank,
                           std::uint64_t row) {
    return at(rank, operation.region_of_rank[static_cast<std::size_t>(rank)]) +
           landing(operation, rank).payload_offset(row);
  }
  const std::byte* metadata(const runtime::DispatchOperation& operation,
                            int rank,
                            std::uint64_t row) {
    return at(rank, operation.region_of_rank[static_cast<std::size_t>(rank)]) +
           landing(operation, rank).metadata_offset(row);
  }
  void expect_payload(const runtime::DispatchOperation& operation,
                      int rank,
                      std::uint64_t row,
                      std::size_t token) {
    EXPECT_EQ(std::memcmp(payload(operation, rank, row), x_row(token), kRowBytes), 0)
        << "row " << row << " of rank " << rank;
  }
  void expect_untouched(const std::byte* at, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
      ASSERT_EQ(at[i], sim::Heaps::kFresh) << "byte " << i;
    }
  }
  void expect_header(const std::byte* at, int token, int payload_row) {
    MetadataHeader header{};
    std::memcpy(&header, at, sizeof(header));
    EXPECT_EQ(header.source_rank, kMe);
    EXPECT_EQ(header.source_token, token);
    EXPECT_EQ(header.payload_row, payload_row);
  }
  void expect_sealed(const runtime::DispatchOperation& operation, const std::byte* at) {
    const protocol::DispatchArgs& args = operation.args;
    const auto words = values<std::uint32_t>(at, args.problem.packet.metadata_bytes() / 4);
    EXPECT_EQ(std::accumulate(words.begin(), words.end(), 0U), args.op.metadata_sum(kMe));
  }
  template <class T>
  static std::vector<T> values(const std::byte* at, std::size_t count) {
    std::vector<T> all(count);
    std::memcpy(all.data(), at, count * sizeof(T));
    return all;
  }
};

TEST_F(ScaleUpSendTest, WaitsForTheCountExchangeWhenPlacesAreUnknown) {
  const auto operation = dispatch({{0, 5}});
  expect_blocked(send(*operation), WaitKind::kLocalRole, -1);
  receive_placement(*operation, {1, 0, 1}, {0, 0, 0});
  expect_done(send(*operation));
}

TEST_F(ScaleUpSendTest, PutsEachTokenOnceToEachRankThatHasItsExperts) {
  // Tokens 0 and 2 go to rank 0, token 1 nowhere, token 2 to rank 2 as well; channel 0 has them.
  const auto operation = dispatch({{0, 1}, {-1, -1}, {4, 1}, {-1, -1}, {-1, -1}, {-1, -1}});
  receive_placement(*operation, {9, 0, 4}, {5, 0, 3});
  expect_done(send(*operation));
  expect_payload(*operation, 0, 5, 0);
  expect_payload(*operation, 0, 6, 2);
  expect_payload(*operation, 2, 3, 2);
  expect_header(metadata(*operation, 0, 5), 0, 5);
  expect_header(metadata(*operation, 0, 6), 2, 6);
  expect_header(metadata(*operation, 2, 3), 2, 3);
  const protocol::PacketLayout& packet = operation->args.problem.packet;
  EXPECT_EQ(values<std::int32_t>(metadata(*operation, 0, 5) + packet.indices_offset(), 2),
            (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(values<std::int32_t>(metadata(*operation, 0, 6) + packet.indices_offset(), 2),
            (std::vector<std::int32_t>{-1, 1}));
  EXPECT_EQ(values<std::int32_t>(metadata(*operation, 2, 3) + packet.indices_offset(), 2),
            (std::vector<std::int32_t>{0, -1}));
  expect_sealed(*operation, metadata(*operation, 0, 6));
  expect_sealed(*operation, metadata(*operation, 2, 3));
  expect_untouched(payload(*operation, 0, 0), 5 * kRowBytes);
  expect_untouched(payload(*operation, 0, 7), 2 * kRowBytes);
  expect_untouched(payload(*operation, 2, 0), 3 * kRowBytes);
}

TEST_F(ScaleUpSendTest, CarriesWeightsOfItsOwnRankOnlyWhenWeighted) {
  const std::vector<float> weights{0.5F, 0.25F, 2.0F};
  const auto operation = dispatch({{0, 4, 1}}, Layout::kRankMajor, [&](DispatchRequest& request) {
    request.topk_weights = {weights.data(), DType::kFp32, {1, 3}};
  });
  receive_placement(*operation, {1, 0, 1}, {0, 0, 0});
  expect_done(send(*operation, 1));
  const std::uint32_t at = operation->args.problem.packet.weights_offset();
  EXPECT_EQ(values<float>(metadata(*operation, 0, 0) + at, 3),
            (std::vector<float>{0.5F, 0.0F, 2.0F}));
  EXPECT_EQ(values<float>(metadata(*operation, 2, 0) + at, 3),
            (std::vector<float>{0.0F, 0.25F, 0.0F}));
}

TEST_F(ScaleUpSendTest, SumsTheWeightsOfAnExpertThatATokenNamesTwice) {
  const std::vector<float> weights{0.5F, 0.25F, 2.0F};
  const auto operation = dispatch({{1, 0, 1}}, Layout::kExpertMajor, [&](DispatchRequest& request) {
    request.topk_weights = {weights.data(), DType::kFp32, {1, 3}};
  });
  receive_placement(*operation, {2, 0, 0}, {0, 1, 0, 0, 0, 0});
  expect_done(send(*operation, 1));
  const std::uint32_t at = operation->args.problem.packet.weights_offset();
  EXPECT_EQ(values<float>(metadata(*operation, 0, 1) + at, 1), std::vector<float>{2.5F});
  EXPECT_EQ(values<float>(metadata(*operation, 0, 0) + at, 1), std::vector<float>{0.25F});
  expect_sealed(*operation, metadata(*operation, 0, 1));
}

TEST_F(ScaleUpSendTest, SendsEveryCopyWhenCopiesAreMadeBySender) {
  const auto operation = dispatch({{5, 4}}, Layout::kExpertMajor);
  receive_placement(*operation, {0, 0, 8}, {0, 0, 0, 0, 2, 7});
  expect_done(send(*operation, 1));
  expect_payload(*operation, 2, 7, 0);
  expect_payload(*operation, 2, 2, 0);
  expect_header(metadata(*operation, 2, 7), 0, 7);
  expect_header(metadata(*operation, 2, 2), 0, 2);
}

TEST_F(ScaleUpSendTest, WritesWideIndicesWhenTheCallersAreWide) {
  const std::vector<std::int64_t> experts{5, 0};
  const auto operation = dispatch({{5, 0}}, Layout::kRankMajor, [&](DispatchRequest& request) {
    request.topk_idx = {experts.data(), DType::kInt64, {1, 2}};
  });
  receive_placement(*operation, {1, 0, 1}, {0, 0, 0});
  expect_done(send(*operation, 1));
  const std::uint32_t at = operation->args.problem.packet.indices_offset();
  EXPECT_EQ(values<std::int64_t>(metadata(*operation, 2, 0) + at, 2),
            (std::vector<std::int64_t>{1, -1}));
}

TEST_F(ScaleUpSendTest, ReadsStridedRowsAndScales) {
  std::vector<std::byte> x(3 * 48);
  std::vector<float> scales(3 * 5, -1.0F);
  for (std::size_t token = 0; token < 3; ++token) {
    std::memset(x.data() + token * 48, static_cast<int>(token) + 1, 16);
    scales[token * 5] = static_cast<float>(token) + 0.5F;
  }
  const auto operation =
      dispatch({{-1}, {-1}, {5}}, Layout::kRankMajor, [&](DispatchRequest& request) {
        request.x = {x.data(), DType::kFp8E4m3, {3, 16}};
        request.x.strides[0] = 48;
        request.scales = {scales.data(), DType::kFp32, {3, 1}};
        request.scales.strides[0] = 5;
      });
  receive_placement(*operation, {0, 0, 2}, {0, 0, 1});
  expect_done(send(*operation, 1));
  EXPECT_EQ(std::memcmp(payload(*operation, 2, 1), x.data() + 2 * 48, 16), 0);
  const std::byte* landed =
      at(2, operation->region_of_rank[2]) + landing(*operation, 2).scales_offset(1);
  EXPECT_EQ(values<float>(landed, 1), std::vector<float>{2.5F});
  expect_untouched(landed + sizeof(float), 12);
}

TEST_F(ScaleUpSendTest, QuantisesOncePerTokenWhenAsked) {
  std::vector<std::byte> x(32);
  for (std::size_t i = 0; i < 16; ++i) {
    sim::store_element(DType::kBf16, x.data(), i, static_cast<float>(i) - 7.0F);
  }
  const auto operation = dispatch({{0, 5}}, Layout::kRankMajor, [&](DispatchRequest& request) {
    request.x = {x.data(), DType::kBf16, {1, 16}};
    request.quantize = Quantize::kFp8ScalesFp32;
  });
  receive_placement(*operation, {1, 0, 1}, {0, 0, 0});
  expect_done(send(*operation, 1));
  std::vector<std::byte> wanted(16);
  float scale = 0.0F;
  sim::reference_quantize({wanted.data(),
                           reinterpret_cast<std::byte*>(&scale),
                           x.data(),
                           16,
                           protocol::ScaleFormat::kFp32});
  for (const int rank : {0, 2}) {
    EXPECT_EQ(std::memcmp(payload(*operation, rank, 0), wanted.data(), 16), 0);
    const std::byte* scales = at(rank, operation->region_of_rank[static_cast<std::size_t>(rank)]) +
                              landing(*operation, rank).scales_offset(0);
    EXPECT_EQ(values<float>(scales, 1), std::vector<float>{scale});
  }
}

TEST_F(ScaleUpSendTest, MovesAChunkAStepAndPublishesWhenAllRowsAreOut) {
  // Chunks of two tokens: channel 1 has tokens 2, 3, 4.
  const auto operation = dispatch({{0}, {0}, {0}, {0}, {5}});
  receive_placement(*operation, {4, 0, 1}, {0, 0, 0});
  const protocol::OperationArgs& op = operation->args.op;
  sim::SimRole& second = send(*operation, 1);
  EXPECT_EQ(second.step(), Progress::kAdvanced);  // sees the places
  EXPECT_EQ(second.step(), Progress::kAdvanced);
  world_.memory().publish_all();
  expect_payload(*operation, 0, 2, 2);
  expect_payload(*operation, 0, 3, 3);
  expect_untouched(payload(*operation, 2, 0), kRowBytes);
  EXPECT_EQ(second.step(), Progress::kAdvanced);
  world_.memory().publish_all();
  expect_payload(*operation, 2, 0, 4);
  for (const int rank : {0, 2}) {
    expect_not_sent(op.progress_at(rank, 1), *operation);
  }
  EXPECT_EQ(second.step(), Progress::kDone);
  world_.memory().publish_all();
  for (const int rank : {0, 2}) {
    const std::uint64_t region = operation->region_of_rank[static_cast<std::size_t>(rank)];
    expect_progress(*operation, rank, 1, region / protocol::kRegionUnit);
    expect_not_sent(op.progress_at(rank, 0), *operation);
  }
  expect_not_sent(op.progress_at(kMe, 1), *operation);
  expect_untouched(payload(*operation, 0, 0), 2 * kRowBytes);
}

TEST_F(ScaleUpSendTest, PublishesForEveryChannelWhenItsShareIsEmpty) {
  const auto operation = dispatch({{0}});
  receive_placement(*operation, {1, 0, 0}, {0, 0, 0});
  for (int channel = 0; channel < 2; ++channel) {
    expect_done(send(*operation, channel));
    expect_progress(*operation, 0, channel, operation->region_of_rank[0] / protocol::kRegionUnit);
    expect_not_sent(operation->args.op.progress_at(2, channel), *operation);
  }
}

TEST_F(ScaleUpSendTest, LeavesWithoutATraceWhenTheOperationFailed) {
  const auto operation = dispatch({{0}, {0}});
  receive_placement(*operation, {2, 0, 0}, {0, 0, 0});
  operation->flags.failed = 1;
  expect_done(send(*operation));
  expect_untouched(payload(*operation, 0, 0), 2 * kRowBytes);
  expect_not_sent(operation->args.op.progress_at(0, 0), *operation);
}

class ScaleUpSendByReceiver : public ScaleUpSendTest {
 protected:
  ScaleUpSendByReceiver() : ScaleUpSendTest(options()) {}
  static sim::WorldOptions options() {
    sim::WorldOptions options = default_options();
    options.expert_copies = ExpertCopies::kByReceiver;
    return options;
  }
};

TEST_F(ScaleUpSendByReceiver, SendsThePayloadToTheFirstRowAndOnlyMetadataToTheOthers) {
  const auto operation = dispatch({{5, 0, 4, 1}}, Layout::kExpertMajor);
  receive_placement(*operation, {4, 0, 8}, {3, 1, 0, 0, 2, 7});
  expect_done(send(*operation, 1));
  expect_payload(*operation, 2, 7, 0);
  expect_payload(*operation, 0, 3, 0);
  expect_untouched(payload(*operation, 2, 2), kRowBytes);
  expect_untouched(payload(*operation, 0, 1), kRowBytes);
  expect_header(metadata(*operation, 2, 7), 0, 7);
  expect_header(metadata(*operation, 2, 2), 0, 7);
  expect_header(metadata(*operation, 0, 3), 0, 3);
  expect_header(metadata(*operation, 0, 1), 0, 3);
}

}  // namespace
}  // namespace switchyard::test
