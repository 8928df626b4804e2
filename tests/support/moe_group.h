// A whole group for a test: ranks as threads, each with its Buffer, inputs and the independent
// reference of the benchmark's verifier.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/common/reference.h"
#include "benchmarks/common/tensor_memory.h"
#include "benchmarks/common/token_data.h"
#include "benchmarks/common/verifier.h"
#include "switchyard/switchyard.h"
#include "tests/support/rank_threads.h"

namespace switchyard::test {

using bench::TensorMemory;

/// Small heaps and a deadline that a loaded machine under a sanitizer still meets.
inline Config test_config() {
  Config config;
  config.heap_bytes = std::uint64_t{24} << 20U;
  config.timeout = std::chrono::seconds(60);
  return config;
}

/// One rank as a test body sees it.
struct RankContext {
  int rank;
  Group& group;
  Buffer& buffer;
  const bench::RankInputs& inputs;
  const std::shared_ptr<const bench::Reference>& reference;
  TensorMemory& memory;

  /// A dispatch of the inputs, with room for exactly what comes where room is set aside.
  [[nodiscard]] DispatchRequest request() const {
    DispatchRequest request = inputs.request();
    request.x = memory.given(request.x);
    request.scales = memory.given(request.scales);
    request.topk_idx = memory.given(request.topk_idx);
    request.topk_weights = memory.given(request.topk_weights);
    request.max_rows = static_cast<std::int64_t>(reference->rows().size());
    return request;
  }
  [[nodiscard]] bench::Verifier verifier() const { return bench::Verifier(reference); }

  /// Judges results wherever they lie.
  [[nodiscard]] bench::VerifyReport check(const DispatchResult& result) const {
    bench::DispatchViews views = bench::views_of(result);
    for (ConstTensorView* view : {&views.x,
                                  &views.scales,
                                  &views.topk_idx,
                                  &views.topk_weights,
                                  &views.source_rank,
                                  &views.source_token}) {
      *view = memory.seen(*view);
    }
    return verifier().check_complete_dispatch(views);
  }
  [[nodiscard]] bench::VerifyReport check(const CombineResult& result) const {
    return verifier().check_combine(memory.seen(result.out()));
  }
  void fill_expert_rows(const TensorView& view) const {
    memory.edit(view,
                [this](const TensorView& rows) { bench::fill_expert_rows(*reference, rows); });
  }
  void poison(const TensorView& view) const { memory.edit(view, bench::poison); }
};

using RankBody = std::function<void(const RankContext&)>;

/// Routing of every rank; `tokens_of` overrides the number of tokens by rank.
inline std::shared_ptr<const std::vector<bench::RankRouting>> route_all(
    const bench::Workload& workload, const std::vector<int>& tokens_of = {}) {
  auto all = std::make_shared<std::vector<bench::RankRouting>>();
  for (int rank = 0; rank < workload.num_ranks; ++rank) {
    bench::Workload mine = workload;
    if (!tokens_of.empty()) {
      mine.tokens = tokens_of[static_cast<std::size_t>(rank)];
    }
    all->push_back(bench::make_routing(mine, rank));
  }
  return all;
}

/// Runs `body` on every rank of a group of threads; fails the test for each rank that threw.
inline void run_group(const bench::Workload& workload,
                      const std::shared_ptr<const std::vector<bench::RankRouting>>& routing,
                      const Config& config,
                      const RankBody& body) {
  auto bootstraps = make_in_process_bootstraps(workload.num_ranks);
  const std::vector<std::string> errors = run_rank_threads(workload.num_ranks, [&](int rank) {
    const auto index = static_cast<std::size_t>(rank);
    Group group(std::move(bootstraps[index]));
    Buffer buffer(group, config);
    const bench::RankInputs inputs(workload, rank, (*routing)[index]);
    const auto reference = std::make_shared<const bench::Reference>(workload, rank, routing);
    TensorMemory memory;
    body({rank, group, buffer, inputs, reference, memory});
    group.bootstrap().barrier();
  });
  for (std::size_t rank = 0; rank < errors.size(); ++rank) {
    EXPECT_EQ(errors[rank], "") << "rank " << rank;
  }
}

/// The combine of a result whose expert outputs were written over its rows or into `x`.
inline CombineRequest combine_request(const RankContext& context,
                                      const DispatchResult& result,
                                      const ConstTensorView& x) {
  CombineRequest request{.x = x, .handle = result.handle()};
  if (context.reference->workload().weighted_combine()) {
    request.topk_weights = context.memory.given(context.inputs.topk_weights());
  }
  return request;
}

/// Shape of the expert outputs of a result: [rows, hidden].
inline HeapTensor allocate_expert_rows(const RankContext& context, const DispatchResult& result) {
  const bench::Workload& workload = context.reference->workload();
  return context.buffer.allocate(workload.combine_dtype(), {result.num_rows(), workload.hidden});
}

}  // namespace switchyard::test
