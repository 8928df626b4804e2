// A combine of rank 1 of 3 for Receive / Expect tests of its roles.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "tests/support/hand_made_peer.h"

namespace switchyard::test {

/// The tokens of rank 1, and what landed there, as the dispatch left them: token t of rank 1 has
/// one row on each rank it names. Rank 1 holds three rows: two of rank 0, one of its own.
class CombineTest : public RoleTest {
 protected:
  static constexpr std::int64_t kRowsHere = 3;

  explicit CombineTest(const sim::WorldOptions& options = default_options()) : RoleTest(options) {}

  /// Token 0: ranks 0, 2, 0. Token 1: rank 1. Token 2: nowhere. Token 3: rank 2.
  static std::vector<std::vector<std::int32_t>> experts() {
    return {{0, 5, 1}, {3, -1, -1}, {-1, -1, -1}, {4, -1, -1}};
  }

  /// The handle of a dispatch that ended: rows of rank 1 begin at row 2 of rank 0, 2 here, 0 there.
  std::shared_ptr<runtime::HandleState> handle(Layout layout = Layout::kRankMajor) {
    if (handle_ == nullptr) {
      auto route = std::make_shared<runtime::SourceRoute>();
      std::vector<std::int32_t> flat;
      for (const auto& token : experts()) {
        flat.insert(flat.end(), token.begin(), token.end());
      }
      const routing::RouteShape shape{4, 3, kNumExperts, kNumRanks, kNumRanks};
      route->route = routing::make_route(
          shape, {flat.data(), DType::kInt32, {4, 3}}, layout != Layout::kRankMajor);
      handle_ = std::make_shared<runtime::HandleState>();
      handle_->source = route;
      handle_->layout = layout;
      handle_->num_ranks = kNumRanks;
      handle_->prepare_tables(kMe, 1);
      handle_->num_rows = kRowsHere;
      handle_->rows_from = {2, 1, 0};
      if (layout == Layout::kRankMajor) {
        handle_->rows_of_rank = {3, kRowsHere, 2};
        handle_->base = {2, 2, 0};
        handle_->base_from = {0, 2, 3};
      } else {
        // Experts 0, 1 on rank 0 at rows 1, 2; expert 3 here at row 2; experts 4, 5 at rows 0, 1.
        handle_->rows_of_rank = {3, kRowsHere, 2};
        handle_->base = {1, 2, 0, 2, 0, 1};
        handle_->base_from = {0, 1, 1, 2, 1, 3};
        handle_->counts_from = {1, 1, 0, 1, 0, 0};
      }
    }
    return handle_;
  }

  [[nodiscard]] static ConstTensorView rows_view(const void* rows) {
    return {rows, DType::kBf16, {kRowsHere, kHidden}};
  }

  struct NoCombineChange {
    void operator()(CombineRequest& /*request*/) const {}
  };
  template <class Change = NoCombineChange>
  std::shared_ptr<runtime::CombineOperation> combine(const ConstTensorView& x,
                                                     const Change& change = {}) {
    CombineRequest request;
    request.x = x;
    change(request);
    return world_.rank(kMe).issue(request, handle());
  }
  /// Expert outputs in the heap.
  std::shared_ptr<runtime::CombineOperation> combine_in_place() {
    expert_rows_ = allocate(kMe, kRowsHere * kRowBytes);
    return combine(rows_view(at(kMe, expert_rows_)));
  }
  /// Expert outputs, and weights if wanted, in private memory.
  std::shared_ptr<runtime::CombineOperation> combine_private(bool weighted) {
    return combine(rows_view(private_rows_.data()), [&](CombineRequest& request) {
      if (weighted) {
        request.row_weights = {weights_.data(), DType::kFp32, {kRowsHere}};
        const std::int64_t entries = handle()->row_per_expert() ? 1 : 3;
        request.row_topk_weights = {topk_weights_.data(), DType::kFp32, {kRowsHere, entries}};
      }
    });
  }
  void run_all(const runtime::Operation& operation) {
    for (sim::RunningOperation& running : world_.rank(kMe).running()) {
      for (const auto& each : running.roles) {
        if (running.operation.get() == &operation && !each->done()) {
          run(*each);
        }
      }
    }
  }

  std::uint64_t expert_rows_ = 0;
  alignas(16) std::array<std::byte, kRowsHere * kRowBytes> private_rows_{};
  std::array<float, kRowsHere> weights_{0.5F, 1.5F, 2.5F};
  std::array<float, kRowsHere * 3> topk_weights_{1, 2, 3, 4, 5, 6, 7, 8, 9};

 private:
  std::shared_ptr<runtime::HandleState> handle_;
};

}  // namespace switchyard::test
