// The route that the kernel makes, entry for entry against the one of csrc/routing.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "csrc/routing/route.h"
#include "csrc/targets/cuda/route_tokens.h"
#include "tests/emulated/device/launch.h"
#include "tests/emulated/support/device_memory.h"
#include "tests/support/seeds.h"

namespace switchyard::test {
namespace {

/// One launch of the kernel, with all that it reads and writes.
class RouteRun {
 public:
  RouteRun(std::uint64_t seed, bool breaks_an_entry) : random_(seed), world_(seed) {
    draw_shape();
    if (breaks_an_entry) {
      args_.shape.num_tokens += 1;
    }
    draw_entries();
    if (breaks_an_entry) {
      bad_token_ = static_cast<int>(below(static_cast<unsigned>(args_.shape.num_tokens)));
      bad_position_ = static_cast<int>(below(static_cast<unsigned>(args_.shape.topk)));
      const std::int64_t choices[] = {args_.shape.num_experts, -2, 1 << 20};
      set_entry(bad_token_, bad_position_, choices[below(3)]);
    }
    memory_ = std::make_unique<emulated::DeviceWorkspace>(args_.shape);
    args_.workspace = memory_->places();
    args_.sequence = &sequence_;
  }

  void run() {
    const std::uint32_t limits[] = {4096, 16'384, 227 * 1024};
    const cuda::RouteShape shape = cuda::route_shape(args_.shape, limits[below(3)]);
    const auto threads = static_cast<std::uint32_t>(shape.num_warps * cuda::kLanes);
    world_.run_all({[&] {
      emulated::launch(world_, {1, threads, shape.shared_bytes, "route kernel"}, [&] {
        cuda::route_kernel(args_);
      });
    }});
  }

  [[nodiscard]] routing::Route expected() const {
    const cuda::WorkspaceShape& shape = args_.shape;
    ConstTensorView view(args_.topk_idx,
                         args_.wide_index ? DType::kInt64 : DType::kInt32,
                         {shape.num_tokens, shape.topk});
    view.strides = {args_.token_stride, args_.position_stride};
    return routing::make_route(
        {shape.num_tokens, shape.topk, shape.num_experts, shape.num_ranks, shape.num_ranks},
        view,
        shape.row_per_expert);
  }

  void expect_equal() const {
    const routing::Route route = expected();
    const cuda::Workspace& got = args_.workspace;
    expect_array(route.expert, got.expert, "expert");
    expect_array(route.rank, got.rank, "rank");
    expect_array(route.opener, got.opener, "opener");
    expect_array(route.ordinal, got.ordinal, "ordinal");
    expect_array(route.num_terms, got.num_terms, "num_terms");
    expect_array(route.rows_per_rank, got.rows_per_rank, "rows_per_rank");
    expect_array(route.tokens_per_expert, got.tokens_per_expert, "tokens_per_expert");
    for (std::size_t token = 0; token < route.num_terms.size(); ++token) {
      const std::size_t first = token * static_cast<std::size_t>(args_.shape.topk);
      for (std::size_t i = first; i < first + route.num_terms[token]; ++i) {
        EXPECT_EQ(route.terms[i], got.terms[i]) << "terms[" << i << "]";
      }
    }
    if (args_.topk_weights != nullptr) {
      expect_array(weights_in_order(), got.weight, "weight");
    }
    EXPECT_EQ(sequence_.bad_entry.token, -1);
  }

  void expect_padded_places() const {
    const cuda::WorkspaceShape& shape = args_.shape;
    for (int expert = 0; expert < shape.experts_per_rank(); ++expert) {
      for (int rank = 0; rank < shape.num_ranks; ++rank) {
        const int at = rank * shape.experts_per_rank() + expert;
        const auto place = [&](int source) {
          return routing::padded_base(expert, source, shape.num_ranks, args_.max_tokens);
        };
        EXPECT_EQ(args_.workspace.base_from[at], place(rank));
        EXPECT_EQ(args_.workspace.base[at], place(args_.this_rank));
        EXPECT_EQ(args_.workspace.rows_of_rank[rank],
                  shape.experts_per_rank() * shape.num_ranks * args_.max_tokens);
      }
      EXPECT_EQ(args_.workspace.expert_offsets[expert],
                expert * shape.num_ranks * args_.max_tokens);
    }
  }

  void expect_bad_entry() const {
    const cuda::BadEntry& bad = sequence_.bad_entry;
    EXPECT_EQ(bad.token, bad_token_);
    EXPECT_EQ(bad.position, bad_position_);
    EXPECT_EQ(bad.expert, entry(bad_token_, bad_position_));
  }

  [[nodiscard]] bool padded() const { return args_.max_tokens > 0; }

 private:
  unsigned below(unsigned count) { return static_cast<unsigned>(random_() % count); }

  void draw_shape() {
    cuda::WorkspaceShape& shape = args_.shape;
    shape.num_ranks = 1 + static_cast<int>(below(8));
    shape.num_experts = shape.num_ranks * (1 + static_cast<int>(below(below(2) == 0 ? 3 : 24)));
    shape.topk = 1 + static_cast<int>(below(below(3) == 0 ? 32 : 8));
    shape.num_tokens = static_cast<int>(below(below(4) == 0 ? 300 : 20));
    shape.row_per_expert = below(2) == 0;
    args_.wide_index = below(2) == 0;
    args_.position_stride = 1 + below(2);
    args_.token_stride = args_.position_stride * shape.topk + below(3);
    args_.this_rank = static_cast<int>(below(static_cast<unsigned>(shape.num_ranks)));
    args_.max_tokens = shape.row_per_expert && below(3) == 0 ? shape.num_tokens + 3 : 0;
  }

  void draw_entries() {
    const auto extent = static_cast<std::size_t>(args_.shape.num_tokens * args_.token_stride + 1);
    wide_.resize(extent, 1 << 30);  // a gap that is read is no expert
    narrow_.resize(extent, 1 << 30);
    args_.topk_idx = args_.wide_index ? static_cast<const void*>(wide_.data()) : narrow_.data();
    const unsigned none_one_in = 1 + below(6);
    const unsigned spread = 1 + below(static_cast<unsigned>(args_.shape.num_experts));
    for (int token = 0; token < args_.shape.num_tokens; ++token) {
      for (int k = 0; k < args_.shape.topk; ++k) {
        set_entry(token, k, below(none_one_in + 1) == 0 ? -1 : static_cast<int>(below(spread)));
      }
    }
    if (below(2) == 0) {
      args_.weight_token_stride = args_.shape.topk + static_cast<int>(below(3));
      weights_.resize(static_cast<std::size_t>(args_.shape.num_tokens * args_.weight_token_stride));
      for (float& weight : weights_) {
        weight = static_cast<float>(below(1000));
      }
      args_.topk_weights = weights_.data();
    }
  }

  [[nodiscard]] std::size_t index(int token, int k) const {
    return static_cast<std::size_t>(token * args_.token_stride + k * args_.position_stride);
  }
  void set_entry(int token, int k, std::int64_t expert) {
    wide_[index(token, k)] = expert;
    narrow_[index(token, k)] = static_cast<std::int32_t>(expert);
  }
  [[nodiscard]] std::int64_t entry(int token, int k) const { return wide_[index(token, k)]; }

  [[nodiscard]] std::vector<float> weights_in_order() const {
    std::vector<float> all;
    for (int token = 0; token < args_.shape.num_tokens; ++token) {
      const auto first = weights_.begin() + token * args_.weight_token_stride;
      all.insert(all.end(), first, first + args_.shape.topk);
    }
    return all;
  }

  template <class T>
  static void expect_array(const std::vector<T>& wanted, const T* got, const char* name) {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_EQ(wanted[i], got[i]) << name << "[" << i << "]";
    }
  }

  std::mt19937_64 random_;
  emulated::World world_;
  cuda::RouteArgs args_;
  cuda::Sequence sequence_;
  std::unique_ptr<emulated::DeviceWorkspace> memory_;
  std::vector<std::int64_t> wide_;
  std::vector<std::int32_t> narrow_;
  std::vector<float> weights_;
  int bad_token_ = -1;
  int bad_position_ = -1;
};

TEST(RouteKernel, MakesTheRouteOfTheHostWhateverItsShape) {
  for_each_seed(300, [](std::uint64_t seed) {
    SCOPED_TRACE("--seed=" + std::to_string(seed));
    RouteRun run(seed, /*breaks_an_entry=*/false);
    ASSERT_NO_THROW(run.run());
    run.expect_equal();
    if (run.padded()) {
      run.expect_padded_places();
    }
  });
}

TEST(RouteKernel, NamesAnEntryThatIsNoExpertAndGoesOn) {
  for_each_seed(50, [](std::uint64_t seed) {
    SCOPED_TRACE("--seed=" + std::to_string(seed));
    RouteRun run(seed, /*breaks_an_entry=*/true);
    ASSERT_NO_THROW(run.run());
    run.expect_bad_entry();
  });
}

}  // namespace
}  // namespace switchyard::test
