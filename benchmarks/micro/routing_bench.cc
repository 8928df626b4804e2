// From top-k indices to a route, as every counted dispatch does once per call. items_per_second
// counts tokens.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "csrc/routing/route.h"

namespace switchyard::bench {
namespace {

constexpr int kNumExperts = 256;
constexpr int kNumRanks = 8;

/// Distinct experts for every token, uniform.
std::vector<std::int64_t> random_topk(int num_tokens, int topk) {
  std::mt19937 random(1);
  std::vector<std::int64_t> experts(kNumExperts);
  std::iota(experts.begin(), experts.end(), 0);
  std::vector<std::int64_t> topk_idx;
  for (int token = 0; token < num_tokens; ++token) {
    std::shuffle(experts.begin(), experts.end(), random);
    topk_idx.insert(topk_idx.end(), experts.begin(), experts.begin() + topk);
  }
  return topk_idx;
}

/// Arguments: tokens, top-k, whether a row belongs to one expert.
void make_route(benchmark::State& state) {
  const auto num_tokens = static_cast<int>(state.range(0));
  const auto topk = static_cast<int>(state.range(1));
  const std::vector<std::int64_t> topk_idx = random_topk(num_tokens, topk);
  const routing::RouteShape shape{num_tokens, topk, kNumExperts, kNumRanks, kNumRanks};
  const ConstTensorView view(topk_idx.data(), DType::kInt64, {num_tokens, topk});
  for (auto _ : state) {
    benchmark::DoNotOptimize(routing::make_route(shape, view, state.range(2) != 0));
  }
  state.SetItemsProcessed(state.iterations() * num_tokens);
}
BENCHMARK(make_route)
    ->ArgNames({"tokens", "topk", "row_per_expert"})
    ->ArgsProduct({{1024, 4096}, {8}, {0, 1}})
    ->ArgsProduct({{4096}, {32}, {0, 1}})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace switchyard::bench
