// Row copy, reduction and quantisation, in the second-level cache and far out of all caches.
// bytes_per_second counts bytes read plus bytes written. Beside them what they compete with:
// memcpy, and an XOR of the same rows, which reads and writes the same bytes with next to no
// arithmetic.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "benchmarks/micro/row_pool.h"
#include "csrc/protocol/row_math.h"
#include "csrc/targets/host/row_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "benchmarks/micro/row_ops_bench.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace switchyard::bench::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// dst = rows[0] ^ rows[1] ^ ..., streamed.
template <std::size_t... kIndices>
void xor_fixed(std::byte* dst, const std::byte* const* rows, std::index_sequence<kIndices...>) {
  const hn::ScalableTag<std::uint8_t> d;
  const std::uint8_t* const bytes[] = {reinterpret_cast<const std::uint8_t*>(rows[kIndices])...};
  for (std::size_t offset = 0; offset < kRowBytes; offset += hn::Lanes(d)) {
    auto sum = hn::Zero(d);
    ((sum = hn::Xor(sum, hn::LoadU(d, bytes[kIndices] + offset))), ...);
    hn::Stream(sum, d, reinterpret_cast<std::uint8_t*>(dst) + offset);
  }
}

void xor_rows(std::byte* dst, const std::byte* const* rows, std::size_t num_rows) {
  switch (num_rows) {
    case 1:
      return xor_fixed(dst, rows, std::make_index_sequence<1>());
    case 2:
      return xor_fixed(dst, rows, std::make_index_sequence<2>());
    case 4:
      return xor_fixed(dst, rows, std::make_index_sequence<4>());
    case 6:
      return xor_fixed(dst, rows, std::make_index_sequence<6>());
    default:
      return xor_fixed(dst, rows, std::make_index_sequence<8>());
  }
}

}  // namespace switchyard::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace switchyard::bench {
namespace {

HWY_EXPORT(xor_rows);

using protocol::CopyHint;

/// Calls with arguments of their own before they repeat: 14 MB of rows a thousand, so that no cache
/// holds them.
constexpr std::size_t kNumCalls = 16384;

/// Read and written rows: 0.3 MB together, or 0.5 GB.
struct Pools {
  explicit Pools(bool in_cache)
      : sources(in_cache ? 12 : 18000), destinations(in_cache ? 12 : 18000) {}
  RowPool sources;
  RowPool destinations;
};

const Pools& pools(std::int64_t in_cache) {
  static const Pools cached(true);
  static const Pools uncached(false);
  return in_cache != 0 ? cached : uncached;
}

/// Measures call(i) for i = 0, 1, ... kNumCalls - 1, 0, ... and reports the bytes that it moves.
template <class Call>
void run_calls(benchmark::State& state, std::size_t bytes_per_call, const Call& call) {
  std::size_t i = 0;
  for (auto _ : state) {
    call(i);
    i = (i + 1) % kNumCalls;
  }
  host::stream_fence();
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes_per_call));
  state.SetLabel(host::row_ops_isa());
}

/// Arguments: destinations, in cache, stream.
void bench_copy_row(benchmark::State& state) {
  const auto num_dsts = static_cast<std::size_t>(state.range(0));
  const Pools& memory = pools(state.range(1));
  const CopyHint hint = state.range(2) != 0 ? CopyHint::kStream : CopyHint::kKeep;
  const auto dsts = memory.destinations.random_rows(kNumCalls * num_dsts, 1);
  run_calls(state, (num_dsts + 1) * kRowBytes, [&](std::size_t i) {
    host::copy_row(
        &dsts[i * num_dsts], static_cast<int>(num_dsts), memory.sources.row(i), kRowBytes, hint);
  });
}
BENCHMARK(bench_copy_row)
    ->ArgNames({"dsts", "in_cache", "stream"})
    ->ArgsProduct({{1, 2, 4, 8}, {0, 1}, {0, 1}});

/// Arguments: destinations, in cache. The bytes are counted as for copy_row, though the source is
/// read once per copy.
void bench_memcpy(benchmark::State& state) {
  const auto num_dsts = static_cast<std::size_t>(state.range(0));
  const Pools& memory = pools(state.range(1));
  const auto dsts = memory.destinations.random_rows(kNumCalls * num_dsts, 1);
  run_calls(state, (num_dsts + 1) * kRowBytes, [&](std::size_t i) {
    for (std::size_t dst = 0; dst < num_dsts; ++dst) {
      std::memcpy(dsts[i * num_dsts + dst], memory.sources.row(i), kRowBytes);
    }
  });
}
BENCHMARK(bench_memcpy)->ArgNames({"dsts", "in_cache"})->ArgsProduct({{1, 2, 4, 8}, {0, 1}});

/// kNumCalls reductions of `num_rows` random rows each.
class Reductions {
 public:
  Reductions(const Pools& memory, std::size_t num_rows) : terms_(kNumCalls * num_rows) {
    const auto rows = memory.sources.random_rows(terms_.size(), 2);
    for (std::size_t i = 0; i < terms_.size(); ++i) {
      terms_[i].row = rows[i];
    }
    for (std::size_t i = 0; i < kNumCalls; ++i) {
      list_.push_back({.dst = memory.destinations.row(i),
                       .terms = &terms_[i * num_rows],
                       .num_terms = static_cast<std::int32_t>(num_rows),
                       .num_elems = kRowBytes / 2,
                       .dtype = DType::kBf16});
    }
  }

  void set_groups_of(std::size_t num) {
    for (std::size_t i = 0; i < terms_.size(); ++i) {
      terms_[i].closes_group = (i + 1) % num == 0;
    }
  }
  void set_weight(float weight) {
    for (protocol::Term& term : terms_) {
      term.weight = weight;
    }
    for (protocol::Reduction& reduction : list_) {
      reduction.weighted = true;
    }
  }

  void run(std::size_t i, CopyHint hint) const {
    host::reduce_rows(list_[i], hint, &list_[(i + 1) % list_.size()]);
  }

 private:
  std::vector<protocol::Term> terms_;
  std::vector<protocol::Reduction> list_;
};

/// Arguments: rows, in cache.
void bench_reduce_rows(benchmark::State& state) {
  const auto num_rows = static_cast<std::size_t>(state.range(0));
  const Reductions reductions(pools(state.range(1)), num_rows);
  const CopyHint hint = state.range(1) != 0 ? CopyHint::kKeep : CopyHint::kStream;
  run_calls(state, (num_rows + 1) * kRowBytes, [&](std::size_t i) { reductions.run(i, hint); });
}
BENCHMARK(bench_reduce_rows)
    ->ArgNames({"rows", "in_cache"})
    ->ArgsProduct({{1, 2, 3, 4, 5, 6, 7, 8, 16}, {0, 1}});

/// Arguments: rows, rows per group, in cache. Weighted, too: the slowest path.
void bench_reduce_rows_weighted(benchmark::State& state) {
  const auto num_rows = static_cast<std::size_t>(state.range(0));
  Reductions reductions(pools(state.range(2)), num_rows);
  reductions.set_groups_of(static_cast<std::size_t>(state.range(1)));
  reductions.set_weight(0.25F);
  run_calls(state, (num_rows + 1) * kRowBytes, [&](std::size_t i) {
    reductions.run(i, CopyHint::kStream);
  });
}
BENCHMARK(bench_reduce_rows_weighted)
    ->ArgNames({"rows", "group", "in_cache"})
    ->ArgsProduct({{8}, {1, 2, 8}, {0, 1}});

/// Arguments: rows, in cache.
void bench_xor_rows(benchmark::State& state) {
  const auto num_rows = static_cast<std::size_t>(state.range(0));
  const Pools& memory = pools(state.range(1));
  const auto rows = memory.sources.random_rows(kNumCalls * num_rows, 2);
  run_calls(state, (num_rows + 1) * kRowBytes, [&](std::size_t i) {
    HWY_DYNAMIC_DISPATCH(xor_rows)(memory.destinations.row(i), &rows[i * num_rows], num_rows);
  });
}
BENCHMARK(bench_xor_rows)->ArgNames({"rows", "in_cache"})->ArgsProduct({{1, 2, 4, 6, 8}, {0, 1}});

/// Argument: 1 for fp32 scales, 2 for ue8m0.
void bench_quantize_row(benchmark::State& state) {
  const Pools& memory = pools(1);
  std::vector<float> scales(kRowBytes / 2 / kScaleBlockElems);
  run_calls(state, kRowBytes + kRowBytes / 2, [&](std::size_t i) {
    host::quantize_row({.dst = memory.destinations.row(i),
                        .scales = reinterpret_cast<std::byte*>(scales.data()),
                        .src = memory.sources.row(i),
                        .num_elems = kRowBytes / 2,
                        .format = static_cast<protocol::ScaleFormat>(state.range(0))});
  });
}
BENCHMARK(bench_quantize_row)->ArgName("format")->Arg(1)->Arg(2);

}  // namespace
}  // namespace switchyard::bench
#endif  // HWY_ONCE
