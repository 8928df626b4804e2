// A dispatch of one rank on HostWorld, for benchmarks that step its roles.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "benchmarks/micro/host_world.h"
#include "csrc/protocol/count_exchange.h"
#include "csrc/protocol/scale_up_receive.h"
#include "csrc/protocol/scale_up_send.h"

namespace switchyard::bench {

inline constexpr int kHidden = 7168;
inline constexpr int kTopk = 8;

inline std::vector<std::int64_t> random_topk(int num_tokens, int num_experts, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int64_t> experts(static_cast<std::size_t>(num_experts));
  std::iota(experts.begin(), experts.end(), 0);
  std::vector<std::int64_t> topk_idx;
  for (int token = 0; token < num_tokens; ++token) {
    std::shuffle(experts.begin(), experts.end(), random);
    topk_idx.insert(topk_idx.end(), experts.begin(), experts.begin() + kTopk);
  }
  return topk_idx;
}

/// Tokens of one rank that is alone, dispatched until its rows may go: bf16, DeepSeek-V3's rows
/// unless said otherwise.
class LoneDispatch {
 public:
  LoneDispatch(int num_tokens, int num_experts, Layout layout, int hidden = kHidden)
      : world_(1, num_experts, std::uint64_t{512} << 20U),
        x_(static_cast<std::size_t>(num_tokens) * static_cast<std::size_t>(hidden), 0x3f80),
        topk_idx_(random_topk(num_tokens, num_experts, 1)) {
    DispatchRequest request;
    request.x = {x_.data(), DType::kBf16, {num_tokens, hidden}};
    request.topk_idx = {topk_idx_.data(), DType::kInt64, {num_tokens, kTopk}};
    request.num_experts = num_experts;
    request.layout = layout;
    operation_ = runtime::make_dispatch(world_.context(0, 1), request, nullptr);
    protocol::CountExchange exchange(&operation_->args);
    run_to_end(exchange, world_.warp(0));
  }

  /// All rows landed: a combine may follow.
  void land() {
    protocol::ScaleUpSend send(&operation_->args, 0);
    run_to_end(send, world_.warp(0));
    protocol::ScaleUpReceive receive(&operation_->args, 0);
    run_to_end(receive, world_.warp(0));
  }

  [[nodiscard]] HostWorld& world() { return world_; }
  [[nodiscard]] runtime::DispatchOperation& operation() { return *operation_; }

 private:
  HostWorld world_;
  std::vector<std::uint16_t> x_;
  std::vector<std::int64_t> topk_idx_;
  std::shared_ptr<runtime::DispatchOperation> operation_;
};

}  // namespace switchyard::bench
