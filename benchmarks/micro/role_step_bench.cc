// Single steps of roles on the host target: what a worker does between two looks at its other
// roles. One thread, nothing to wait for.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "benchmarks/micro/lone_dispatch.h"
#include "csrc/protocol/combine_accumulate.h"
#include "csrc/protocol/combine_announce.h"
#include "csrc/protocol/count_exchange.h"
#include "csrc/protocol/scale_up_receive.h"
#include "csrc/protocol/scale_up_send.h"

namespace switchyard::bench {
namespace {

using protocol::Progress;

constexpr std::size_t kRowBytes = kHidden * sizeof(std::uint16_t);

/// Steps `role` over and over, one that begins anew with `make` whenever it ends.
template <class Make>
void step_again_and_again(benchmark::State& state, host::HostWarp& warp, const Make& make) {
  auto role = make();
  for (auto _ : state) {
    if (role.step(warp) == Progress::kDone) {
      role = make();
    }
  }
}

/// One step moves Config::chunk_tokens tokens. bytes_per_second counts what is written.
void scale_up_send_step(benchmark::State& state) {
  constexpr int kTokens = 4096;
  LoneDispatch dispatch(kTokens, 8, Layout::kRankMajor);
  const protocol::DispatchArgs* args = &dispatch.operation().args;
  step_again_and_again(
      state, dispatch.world().warp(0), [&] { return protocol::ScaleUpSend(args, 0); });
  state.SetBytesProcessed(state.iterations() * args->chunk_tokens *
                          static_cast<std::int64_t>(kRowBytes));
}
BENCHMARK(scale_up_send_step)->Unit(benchmark::kMicrosecond);

/// One step sums Config::chunk_tokens tokens of 8 rows each. bytes_per_second counts what is read
/// and written.
void combine_accumulate_step(benchmark::State& state) {
  constexpr int kTokens = 2048;
  LoneDispatch dispatch(kTokens, 8, Layout::kExpertMajor);
  dispatch.land();
  HostWorld& world = dispatch.world();
  const auto& handle = dispatch.operation().handle;
  CombineRequest request;
  request.x = {
      world.peers(0).local(dispatch.operation().region), DType::kBf16, {handle->num_rows, kHidden}};
  const auto operation = runtime::make_combine(world.context(0, 2), request, handle);
  protocol::CombineAnnounce announce(&operation->args);
  while (operation->flags.placed == 0) {
    announce.step(world.warp(0));
  }
  const protocol::CombineArgs* args = &operation->args;
  step_again_and_again(state, world.warp(0), [&] { return protocol::CombineAccumulate(args, 0); });
  state.SetBytesProcessed(state.iterations() * args->chunk_tokens * (kTopk + 1) *
                          static_cast<std::int64_t>(kRowBytes));
}
BENCHMARK(combine_accumulate_step)->Unit(benchmark::kMicrosecond);

/// The whole count exchange of all ranks, one after the other on one core: 128 tokens a rank, 256
/// experts. items_per_second counts ranks.
void count_exchange(benchmark::State& state) {
  constexpr int kTokens = 128;
  constexpr int kNumExperts = 256;
  const auto num_ranks = static_cast<int>(state.range(0));
  HostWorld world(num_ranks, kNumExperts, std::uint64_t{8} << 20U);
  const std::vector<std::uint16_t> x(static_cast<std::size_t>(kTokens) * 8);
  std::vector<std::shared_ptr<runtime::DispatchOperation>> operations;
  for (int rank = 0; rank < num_ranks; ++rank) {
    const std::vector<std::int64_t> topk_idx =
        random_topk(kTokens, kNumExperts, static_cast<unsigned>(rank));
    DispatchRequest request;
    request.x = {x.data(), DType::kBf16, {kTokens, 8}};
    request.topk_idx = {topk_idx.data(), DType::kInt64, {kTokens, kTopk}};
    request.num_experts = kNumExperts;
    operations.push_back(runtime::make_dispatch(world.context(rank, 1), request, nullptr));
  }
  for (auto _ : state) {
    std::vector<protocol::CountExchange> roles;
    for (const auto& operation : operations) {
      ++operation->args.op.epoch;
      operation->flags = {};
      roles.emplace_back(&operation->args);
    }
    for (bool all_done = false; !all_done;) {
      all_done = true;
      for (int rank = 0; rank < num_ranks; ++rank) {
        protocol::CountExchange& role = roles[static_cast<std::size_t>(rank)];
        Progress progress = Progress::kAdvanced;
        while (progress == Progress::kAdvanced) {
          progress = role.step(world.warp(rank));
        }
        all_done = all_done && progress == Progress::kDone;
      }
    }
    for (int rank = 0; rank < num_ranks; ++rank) {
      world.arena(rank).release(operations[static_cast<std::size_t>(rank)]->region);
    }
  }
  state.SetItemsProcessed(state.iterations() * num_ranks);
}
BENCHMARK(count_exchange)->ArgName("ranks")->Arg(4)->Arg(64)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace switchyard::bench
