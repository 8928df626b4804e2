// Operations on a stream and in CUDA graphs: recorded once, launched with new routing. The cases of
// tests/emulated/graph_test.cc, on a real GPU.
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "benchmarks/cuda/cuda_machine.h"
#include "benchmarks/cuda/gpu_memory.h"
#include "switchyard/error.h"
#include "tests/gpu/gpu_ranks.h"
#include "tests/support/operation_cases.h"
#include "tests/support/routing_round.h"

namespace switchyard {
namespace {

using bench::Workload;
using test::RoutingRound;
using test::small_workload;

constexpr int kReplays = 3;
/// Room for more than any of the routings brings.
constexpr std::int64_t kMaxRows = 64;

void check(cudaError_t result, const char* doing) {
  if (result != cudaSuccess) {
    throw std::runtime_error(std::string(doing) + ": " + cudaGetErrorString(result));
  }
}

std::size_t bytes_of(const ConstTensorView& view) {
  return static_cast<std::size_t>(view.num_elems()) * dtype_bytes(view.dtype);
}

/// The first `rows` of a landing that is laid out for more.
ConstTensorView front(ConstTensorView view, const RoutingRound& round) {
  if (round.reference->workload().layout != Layout::kPadded) {
    view.shape[0] = static_cast<std::int64_t>(round.reference->rows().size());
  }
  return view;
}

bench::VerifyReport check_rows(const DispatchResult& landed, const RoutingRound& round) {
  bench::GpuMemory memory;
  bench::DispatchViews views;
  views.x = memory.seen(front(landed.x(), round));
  views.topk_idx = memory.seen(front(landed.topk_idx(), round));
  views.source_rank = memory.seen(front(landed.source_rank(), round));
  views.source_token = memory.seen(front(landed.source_token(), round));
  views.num_rows = static_cast<std::int64_t>(round.reference->rows().size());
  return bench::Verifier(round.reference).check_dispatch(views);
}

/// Brings a routing into the tensors that a graph reads.
void refill(const DispatchRequest& on_gpu, const RoutingRound& round) {
  const DispatchRequest next = round.inputs.request();
  const std::pair<const ConstTensorView*, const ConstTensorView*> pairs[] = {
      {&on_gpu.x, &next.x},
      {&on_gpu.topk_idx, &next.topk_idx},
      {&on_gpu.topk_weights, &next.topk_weights}};
  for (const auto& [to, from] : pairs) {
    auto* data = const_cast<void*>(to->data);
    check(cudaMemcpyAsync(data,
                          from->data,
                          bytes_of(*from),
                          cudaMemcpyDefault,
                          static_cast<cudaStream_t>(on_gpu.stream)),
          "refill");
    check(cudaStreamSynchronize(static_cast<cudaStream_t>(on_gpu.stream)), "wait for a refill");
  }
}

/// One rank: records a dispatch and a combine, then launches them with other routings.
void replay(Layout layout, Bootstrap& bootstrap) {
  const int rank = bootstrap.rank();
  const auto machine = bench::make_cuda_machine(0);
  Group group(
      make_callback_bootstrap(rank, bootstrap.num_ranks(), [&bootstrap](auto mine, auto all) {
        bootstrap.all_gather(mine, all);
      }));
  Config config = test::test_config();
  config.target = Target::kCuda;
  config.num_sms = 2;
  Buffer buffer = machine->make_buffer(group, config);
  bench::GpuMemory memory;
  const RoutingRound first(small_workload(layout, 1), rank);
  DispatchRequest request = first.inputs.request();
  request.x = memory.given(request.x);
  request.topk_idx = memory.given(request.topk_idx);
  request.topk_weights = memory.given(request.topk_weights);
  request.max_rows = layout == Layout::kPadded ? 0 : kMaxRows;
  DispatchResult landed;
  const auto dispatch = machine->device()->record([&](void* stream) {
    request.stream = stream;
    landed = buffer.enqueue(request);
  });
  CombineResult summed;
  const auto combine = machine->device()->record([&](void* stream) {
    CombineRequest asked{.x = landed.x(), .handle = landed.handle()};
    asked.topk_weights = layout == Layout::kRankMajor ? ConstTensorView{} : request.topk_weights;
    asked.stream = stream;
    summed = buffer.enqueue(asked);
  });
  for (int i = 0; i < kReplays; ++i) {
    const RoutingRound round(small_workload(layout, 10 + static_cast<std::uint64_t>(i)), rank);
    refill(request, round);
    group.bootstrap().barrier();
    dispatch->run(1);
    test::expect_ok(check_rows(landed, round));
    bench::GpuMemory().edit(landed.x(), [&](const TensorView& all) {
      TensorView rows = all;
      rows.shape = front(all, round).shape;
      bench::fill_expert_rows(*round.reference, rows);
    });
    group.bootstrap().barrier();
    combine->run(1);
    test::expect_ok(bench::Verifier(round.reference).check_combine(memory.seen(summed.out())));
    EXPECT_NO_THROW(buffer.check_enqueued());
  }
  group.bootstrap().barrier();
}

class CudaGraph : public ::testing::TestWithParam<Layout> {};

TEST_P(CudaGraph, DoesAllAgainWithNewRoutingAtEachLaunch) {
  if (const std::string reason = test::why_no_gpu(); !reason.empty()) {
    GTEST_SKIP() << reason;
  }
  test::run_gpu_threads(3, [](Bootstrap& bootstrap) { replay(GetParam(), bootstrap); });
}

INSTANTIATE_TEST_SUITE_P(Layouts,
                         CudaGraph,
                         ::testing::ValuesIn(test::kAllLayouts),
                         [](const auto& each) {
                           return std::to_string(static_cast<int>(each.param));
                         });

}  // namespace
}  // namespace switchyard
