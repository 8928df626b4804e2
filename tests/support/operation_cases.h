// What frameworks do beyond one dispatch and one combine, as every target must do it: dispatch
// along a handle, several operations in flight, the caller's own memory, weights and biases, expert
// outputs outside the heap.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "tests/support/exchange_cases.h"

namespace switchyard::test {

inline bench::Workload float_workload(Layout layout) {
  bench::Workload workload;
  workload.num_ranks = 4;
  workload.tokens = 33;
  workload.hidden = 64;
  workload.topk = 4;
  workload.num_experts = 16;
  workload.dtype = DType::kFp32;
  workload.layout = layout;
  return workload;
}

/// Sums of one token by the contract, for fp32 rows given as value(rank, row, column).
template <class Value>
float reference_sum(const bench::Reference& reference, int token, float start, Value value) {
  float sum = start;
  float group = 0.0F;
  bool first = true;
  for (const bench::Contribution& term : reference.contributions(token)) {
    const float product = value(term);
    group = first ? product : group + product;
    first = term.closes_group;
    if (term.closes_group) {
      sum += group;
    }
  }
  return sum;
}

inline void dispatch_along_a_handle_lands_the_new_rows_in_the_same_places(
    const RankContext& context) {
  DispatchResult first = context.buffer.dispatch(context.request());
  for (int round = 0; round < 3; ++round) {
    DispatchRequest again;
    again.x = context.memory.given(context.inputs.x());
    again.handle = first.handle();
    DispatchResult second = context.buffer.dispatch(again);
    expect_ok(context.check(second));
    context.poison(second.x());
  }
  expect_ok(context.check(first));
}

inline void dispatch_along_a_handle_may_carry_another_type_and_width(const RankContext& context) {
  DispatchResult first = context.buffer.dispatch(context.request());
  const int tokens = context.reference->num_tokens();
  std::vector<std::uint16_t> rows(static_cast<std::size_t>(tokens) * 8);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = static_cast<std::uint16_t>(context.rank * 1000 + static_cast<int>(i / 8));
  }
  DispatchRequest again;
  again.x = context.memory.given({rows.data(), DType::kBf16, {tokens, 8}});
  again.handle = first.handle();
  DispatchResult second = context.buffer.dispatch(again);
  const auto* landed = static_cast<const std::uint16_t*>(context.memory.seen(second.x()).data);
  const auto rows_wanted = context.reference->rows();
  ASSERT_EQ(second.num_rows(), static_cast<std::int64_t>(rows_wanted.size()));
  for (std::size_t row = 0; row < rows_wanted.size(); ++row) {
    if (rows_wanted[row].source_rank >= 0) {
      EXPECT_EQ(landed[row * 8 + 7], rows_wanted[row].source_rank * 1000 + rows_wanted[row].token);
    }
  }
}

inline void operations_in_flight_are_independent(const RankContext& context) {
  for (int round = 0; round < 4; ++round) {
    std::vector<PendingDispatch> pending;
    for (int i = 0; i < 3; ++i) {
      pending.push_back(context.buffer.issue(context.request()));
    }
    std::vector<DispatchResult> results;
    for (auto each = pending.rbegin(); each != pending.rend(); ++each) {
      results.push_back(each->finish());
    }
    std::vector<HeapTensor> outputs;
    std::vector<PendingCombine> sums;
    for (DispatchResult& result : results) {
      expect_ok(context.check(result));
      outputs.push_back(allocate_expert_rows(context, result));
      context.fill_expert_rows(outputs.back().view());
      sums.push_back(context.buffer.issue(combine_request(context, result, outputs.back().view())));
    }
    for (PendingCombine& sum : sums) {
      expect_ok(context.check(sum.finish()));
    }
  }
}

inline void an_unfinished_operation_is_completed_when_its_pending_is_destroyed(
    const RankContext& context) {
  { const PendingDispatch dropped = context.buffer.issue(context.request()); }
  DispatchResult result = context.buffer.dispatch(context.request());
  expect_ok(context.check(result));
}

inline void rows_land_in_the_callers_memory_and_nowhere_else(const RankContext& context) {
  const bench::Workload& workload = context.reference->workload();
  const auto rows = static_cast<std::int64_t>(context.reference->rows().size());
  const std::int64_t room = rows + (workload.layout == Layout::kPadded ? 0 : 3);
  bench::GuardedRows memory(workload.dtype, room, workload.hidden);
  DispatchRequest request = context.request();
  request.out_x = context.memory.given(memory.view());
  DispatchResult result = context.buffer.dispatch(request);
  EXPECT_EQ(result.x().data, request.out_x.data);
  expect_ok(context.check(result));
  context.memory.take_back(request.out_x, memory.view());
  expect_ok(memory.check_untouched(rows));
}

inline void expert_outputs_outside_the_heap_and_the_callers_output_give_the_same_sums(
    const RankContext& context) {
  const bench::Workload& workload = context.reference->workload();
  DispatchResult result = context.buffer.dispatch(context.request());
  std::vector<float> outputs(static_cast<std::size_t>(result.num_rows() * workload.hidden));
  const TensorView view(outputs.data(), DType::kFp32, {result.num_rows(), workload.hidden});
  bench::fill_expert_rows(*context.reference, view);
  bench::GuardedRows sums(DType::kFp32, context.reference->num_tokens(), workload.hidden);
  CombineRequest request = combine_request(context, result, context.memory.given(view));
  request.out = context.memory.given(sums.view());
  const CombineResult combined = context.buffer.combine(request);
  EXPECT_EQ(combined.out().data, request.out.data);
  expect_ok(context.check(combined));
  context.memory.take_back(request.out, sums.view());
  expect_ok(sums.check_untouched(context.reference->num_tokens()));
}

inline void combine_applies_row_weights_and_biases(const RankContext& context) {
  const int tokens = context.reference->num_tokens();
  const int hidden = context.reference->workload().hidden;
  DispatchResult result = context.buffer.dispatch(context.request());
  const auto rows = static_cast<std::size_t>(result.num_rows());
  const auto row_weight = [](int rank, std::int64_t row) {
    return 0.25F * static_cast<float>((rank + row) % 7 + 1);
  };
  const auto element = [](int rank, std::int64_t row) {
    return static_cast<float>(rank) + 1.0F / static_cast<float>(row + 3);
  };
  HeapTensor outputs = allocate_expert_rows(context, result);
  std::vector<float> weights(rows);
  context.memory.edit(outputs.view(), [&](const TensorView& x) {
    for (std::size_t row = 0; row < rows; ++row) {
      weights[row] = row_weight(context.rank, static_cast<std::int64_t>(row));
      std::fill_n(static_cast<float*>(x.data) + row * static_cast<std::size_t>(hidden),
                  hidden,
                  element(context.rank, static_cast<std::int64_t>(row)));
    }
  });
  const std::vector<float> bias0(static_cast<std::size_t>(tokens * hidden), 0.1F);
  const std::vector<float> bias1(static_cast<std::size_t>(tokens * hidden), 1e-3F);
  CombineRequest request;
  request.x = outputs.view();
  request.handle = result.handle();
  request.row_weights = context.memory.given({weights.data(), DType::kFp32, {result.num_rows()}});
  request.bias = {context.memory.given({bias0.data(), DType::kFp32, {tokens, hidden}}),
                  context.memory.given({bias1.data(), DType::kFp32, {tokens, hidden}})};
  const CombineResult combined = context.buffer.combine(request);
  const auto* sums = static_cast<const float*>(context.memory.seen(combined.out()).data);
  for (int token = 0; token < tokens; ++token) {
    const float wanted = reference_sum(
        *context.reference, token, (0.0F + 0.1F) + 1e-3F, [&](const bench::Contribution& term) {
          return row_weight(term.rank, term.row) * element(term.rank, term.row);
        });
    for (int column = 0; column < hidden; ++column) {
      ASSERT_EQ(sums[token * hidden + column], wanted) << "token " << token;
    }
  }
}

inline void combine_sums_the_topk_weights_of_the_rows(const RankContext& context) {
  DispatchResult result = context.buffer.dispatch(context.request());
  HeapTensor outputs = allocate_expert_rows(context, result);
  context.fill_expert_rows(outputs.view());
  // What came with the rows goes back: each entry's sum is the weight that was sent.
  const ConstTensorView carried = context.memory.seen(result.topk_weights());
  const auto entries = carried.shape[static_cast<std::size_t>(carried.ndim - 1)];
  std::vector<float> weights(static_cast<std::size_t>(result.num_rows() * entries));
  const auto stride = carried.strides[static_cast<std::size_t>(carried.ndim - 2)];
  for (std::int64_t row = 0; row < result.num_rows(); ++row) {
    std::memcpy(weights.data() + row * entries,
                static_cast<const float*>(carried.data) + row * stride,
                static_cast<std::size_t>(entries) * sizeof(float));
  }
  CombineRequest request = combine_request(context, result, outputs.view());
  request.row_topk_weights =
      context.memory.given({weights.data(), DType::kFp32, {result.num_rows(), entries}});
  const CombineResult combined = context.buffer.combine(request);
  const auto* sums = static_cast<const float*>(context.memory.seen(combined.topk_weights()).data);
  const auto& sent = context.inputs.routing();
  for (std::size_t i = 0; i < sent.topk_weights.size(); ++i) {
    const float wanted = sent.topk_idx[i] < 0 ? 0.0F : sent.topk_weights[i];
    EXPECT_EQ(sums[i], wanted) << "entry " << i;
  }
}

struct OperationCase {
  std::string name;
  RankBody body;
};

inline std::vector<OperationCase> operation_cases() {
  return {
      {"DispatchAlongAHandleLandsTheNewRowsInTheSamePlaces",
       dispatch_along_a_handle_lands_the_new_rows_in_the_same_places},
      {"DispatchAlongAHandleMayCarryAnotherTypeAndWidth",
       dispatch_along_a_handle_may_carry_another_type_and_width},
      {"OperationsInFlightAreIndependent", operations_in_flight_are_independent},
      {"AnUnfinishedOperationIsCompletedWhenItsPendingIsDestroyed",
       an_unfinished_operation_is_completed_when_its_pending_is_destroyed},
      {"RowsLandInTheCallersMemoryAndNowhereElse",
       rows_land_in_the_callers_memory_and_nowhere_else},
      {"ExpertOutputsOutsideTheHeapAndTheCallersOutputGiveTheSameSums",
       expert_outputs_outside_the_heap_and_the_callers_output_give_the_same_sums},
      {"CombineAppliesRowWeightsAndBiases", combine_applies_row_weights_and_biases},
      {"CombineSumsTheTopkWeightsOfTheRows", combine_sums_the_topk_weights_of_the_rows},
  };
}

/// "WhatHappens_expertmajor", for names of tests.
inline std::string case_name(const OperationCase& each, Layout layout) {
  std::string name = layout_name(layout);
  std::erase(name, '-');
  return each.name + "_" + name;
}

inline constexpr Layout kAllLayouts[] = {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded};

}  // namespace switchyard::test
