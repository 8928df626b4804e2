// Two mixture-of-experts layers, forward and backward, over four ranks that are threads of this
// program; then the same token by token, and a comparison. Exits with 1 when the two differ.
//   y = x + sum over k of w[k] * expert[topk_idx[k]](x)        expert(x) = b * relu(a . x)
#include <algorithm>
#include <cstdio>
#include <random>
#include <thread>
#include <valarray>

#include "switchyard/switchyard.h"

namespace sy = switchyard;
using Floats = std::valarray<float>;
constexpr auto kFp32 = sy::DType::kFp32;
constexpr int kRanks = 4, kLayers = 2, kExperts = 8, kTopk = 3, kHidden = 16;

template <class T>
std::valarray<T> numbers(int count, int seed, float low = -1, float high = 1) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::uniform_real_distribution<float> between(low, high);
  std::valarray<T> values(static_cast<std::size_t>(count));
  std::generate(begin(values), end(values), [&] { return static_cast<T>(between(random)); });
  return values;
}

/// A token, and its kTopk experts, counted from `first` (-1 for none), with their weights.
struct Row {
  Floats x;
  int first;
  const int* topk_idx;
  const float* w;
};
Floats forward(const Row& row) {
  Floats y(kHidden);
  for (int k = 0; k < kTopk; ++k) {
    if (row.topk_idx[k] >= 0) {
      const auto a = numbers<float>(kHidden, 100 + row.first + row.topk_idx[k]);
      y += row.w[k] * std::max((a * row.x).sum(), 0.0F) * a.cshift(1);  // a, turned, serves as b
    }
  }
  return y;
}
/// From the gradient of the weighted sum to those of x, which is returned, and w.
Floats backward(const Row& row, const Floats& dy, float* dw) {
  Floats dx(kHidden);
  for (int k = 0; k < kTopk; ++k) {
    if (row.topk_idx[k] >= 0) {
      const auto a = numbers<float>(kHidden, 100 + row.first + row.topk_idx[k]);
      const float inner = (a * row.x).sum(), slope = inner > 0 ? (a.cshift(1) * dy).sum() : 0;
      dw[k] = inner * slope;
      dx += row.w[k] * slope * a;
    }
  }
  return dx;
}

/// One rank's tokens: [num][kHidden], and what the gate says of them, [kLayers][num][kTopk].
struct Tokens {
  int num;
  Floats x = numbers<float>(num * kHidden, 300 + num), y = x;
  Floats dx = numbers<float>(num * kHidden, 400 + num);  // the gradient of y; in the end that of x
  Floats w = numbers<float>(kLayers * num * kTopk, 500 + num), dw = 0.0F * w;
  std::valarray<int> topk_idx = numbers<int>(kLayers * num * kTopk, 600 + num, -1.9F, kExperts);
};

template <class T>
T* at(const sy::ConstTensorView& rows, std::int64_t row) {
  return static_cast<T*>(const_cast<void*>(rows.data)) + row * rows.strides[0];
}
const auto store = [](const Floats& row, float* to) { std::copy(begin(row), end(row), to); };

/// Takes a rank's tokens through the layers from `layer` on, and their gradients back.
void run_layers(int rank, sy::Buffer& buffer, Tokens& tokens, int layer, Floats x) {
  const int num = tokens.num, entry = layer * num * kTopk;
  const auto view = [num](Floats& all) { return sy::TensorView(&all[0], kFp32, {num, kHidden}); };
  // Each token goes once to every rank that has experts for it...
  const auto landed =
      buffer.dispatch({.x = view(x),
                       .topk_idx = {&tokens.topk_idx[entry], sy::DType::kInt32, {num, kTopk}},
                       .topk_weights = {&tokens.w[entry], kFp32, {num, kTopk}},
                       .num_experts = kExperts});
  const sy::DispatchHandle handle = landed.handle();
  const auto outputs = buffer.allocate(kFp32, {handle.num_rows(), kHidden});
  const auto row_at = [&](std::int64_t i) {
    return Row{{at<float>(landed.x(), i), kHidden},
               layer * kExperts + rank * kExperts / kRanks,
               at<int>(landed.topk_idx(), i),
               at<float>(landed.topk_weights(), i)};
  };
  for (int i = 0; i < handle.num_rows(); ++i) {
    store(forward(row_at(i)), at<float>(outputs.view(), i));
  }
  // ... and comes back summed. The bias is the residual connection.
  buffer.combine({.x = outputs.view(), .handle = handle, .bias = {view(x)}, .out = view(tokens.y)});
  if (layer + 1 < kLayers) {
    run_layers(rank, buffer, tokens, layer + 1, tokens.y);
  }
  // The gradient of a combine is a dispatch along the same handle, that of a dispatch a combine.
  Floats dy = tokens.dx;
  const auto gradients = buffer.dispatch({.x = view(dy), .handle = handle});
  std::vector<float> dw(handle.num_rows() * kTopk);  // stays 0 where the expert is elsewhere
  for (int i = 0; i < handle.num_rows(); ++i) {
    float* row_dx = at<float>(gradients.x(), i);  // of y, and then of x
    store(backward(row_at(i), {row_dx, kHidden}, &dw[i * kTopk]), row_dx);
  }
  const auto sums =
      buffer.combine({.x = gradients.x(),
                      .handle = handle,
                      .bias = {view(dy)},
                      .row_topk_weights = {dw.data(), kFp32, {handle.num_rows(), kTopk}},
                      .out = view(tokens.dx)});
  std::copy_n(at<float>(sums.topk_weights(), 0), num * kTopk, &tokens.dw[entry]);
}

/// The same for one token, without the library; returns the gradient of x.
Floats run_alone(Tokens& tokens, int layer, int token, const Floats& x) {
  const int entry = (layer * tokens.num + token) * kTopk;
  const Row row{x, layer * kExperts, &tokens.topk_idx[entry], &tokens.w[entry]};
  const Floats y = x + forward(row);
  store(y, &tokens.y[token * kHidden]);
  const Floats dy = layer + 1 < kLayers ? run_alone(tokens, layer + 1, token, y)
                                        : Floats(&tokens.dx[token * kHidden], kHidden);
  return dy + backward(row, dy, &tokens.dw[entry]);
}

int main() {
  std::vector<Tokens> got = {{5}, {8}, {1}, {27}}, wanted = got;
  auto bootstraps = sy::make_in_process_bootstraps(kRanks);
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      sy::Group group(std::move(bootstraps[rank]));
      sy::Buffer buffer(group, {.heap_bytes = 4 << 20});
      run_layers(rank, buffer, got[rank], 0, got[rank].x);
    });
  }
  threads.clear();  // waits for them
  float error = 0;
  for (int rank = 0; rank < kRanks; ++rank) {
    Tokens &a = got[rank], &b = wanted[rank];
    for (int token = 0; token < b.num; ++token) {
      const Floats x(&b.x[token * kHidden], kHidden);
      store(run_alone(b, 0, token, x), &b.dx[token * kHidden]);
    }
    error += std::abs(a.y - b.y).sum() + std::abs(a.dx - b.dx).sum() + std::abs(a.dw - b.dw).sum();
  }
  const bool same = error < 1e-2F;  // rounding alone makes some 1e-5; a NaN is not less
  std::printf("moe_layer: %s, differences add up to %g\n", same ? "correct" : "WRONG", error);
  return same ? 0 : 1;
}
