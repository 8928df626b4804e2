#include "benchmarks/common/roof.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "benchmarks/common/aligned_buffer.h"
#include "benchmarks/common/token_data.h"

namespace switchyard::bench {
namespace {

constexpr std::size_t kTokens = 7;

// Two ranks, seen from rank 0, with memory for the landed rows and for the sums.
class Roof : public ::testing::TestWithParam<RoofCopy> {
 protected:
  Roof() {
    workload_.num_ranks = 2;
    workload_.tokens = static_cast<int>(kTokens);
    workload_.hidden = 64;
    workload_.topk = 3;
    workload_.num_experts = 4;
    routing_ = make_all_routing(workload_);
    reference_ = std::make_unique<const Reference>(workload_, 0, routing_);
    inputs_ = std::make_unique<const RankInputs>(workload_, 0, routing_[0]);
    for (AlignedBuffer& landed : landed_) {
      landed = AlignedBuffer(2 * kTokens * workload_.row_bytes());
      bases_.push_back(landed.data());
    }
  }

  std::vector<std::byte> landed_bytes() const {
    std::vector<std::byte> all;
    for (const AlignedBuffer& landed : landed_) {
      all.insert(all.end(), landed.data(), landed.data() + landed.size());
    }
    return all;
  }

  Workload workload_;
  std::vector<RankRouting> routing_;
  std::unique_ptr<const Reference> reference_;
  std::unique_ptr<const RankInputs> inputs_;
  AlignedBuffer landed_[2];
  std::vector<std::byte*> bases_;
};

TEST_P(Roof, WritesTheSameBytesWhenDispatchIsSharedByThreeThreads) {
  const DispatchRoof roof(*reference_, inputs_->x(), bases_);
  roof.run(GetParam());
  const std::vector<std::byte> whole = landed_bytes();
  EXPECT_NE(whole, std::vector<std::byte>(whole.size()));
  for (AlignedBuffer& landed : landed_) {
    std::fill_n(landed.data(), landed.size(), std::byte{0});
  }
  for (int share = 0; share < 3; ++share) {
    roof.run(GetParam(), share, 3);
  }
  EXPECT_EQ(landed_bytes(), whole);
}

TEST_P(Roof, WritesTheSameBytesWhenCombineIsSharedByThreeThreads) {
  // Expert outputs that differ from rank to rank: a fold of equal rows would be zero.
  for (int rank = 0; rank < 2; ++rank) {
    for (std::size_t i = 0; i < landed_[rank].size(); ++i) {
      landed_[rank].data()[i] =
          static_cast<std::byte>(i * 7 + static_cast<std::size_t>(rank) * 3 + 1);
    }
  }
  const AlignedBuffer out(kTokens * workload_.row_bytes());
  const CombineRoof roof(
      *reference_,
      std::vector<const std::byte*>(bases_.begin(), bases_.end()),
      TensorView(out.data(), workload_.combine_dtype(), {workload_.tokens, workload_.hidden}));
  roof.run(GetParam());
  const std::vector<std::byte> whole(out.data(), out.data() + out.size());
  EXPECT_NE(whole, std::vector<std::byte>(whole.size()));
  std::fill_n(out.data(), out.size(), std::byte{0});
  for (int share = 0; share < 3; ++share) {
    roof.run(GetParam(), share, 3);
  }
  EXPECT_EQ(std::vector<std::byte>(out.data(), out.data() + out.size()), whole);
}

INSTANTIATE_TEST_SUITE_P(BothWays,
                         Roof,
                         ::testing::Values(RoofCopy::kStreaming, RoofCopy::kMemcpy),
                         [](const auto& way) {
                           return way.param == RoofCopy::kStreaming ? "Streaming" : "Memcpy";
                         });

}  // namespace
}  // namespace switchyard::bench
