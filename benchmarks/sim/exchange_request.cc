#include "benchmarks/sim/exchange_request.h"

namespace switchyard::sim {
namespace {

void give_output(DispatchCall& call, const DispatchPlan& plan, std::int64_t rows) {
  const std::int64_t words = plan.scale_words();
  const auto bytes = static_cast<std::size_t>(rows) * plan.landed_row_bytes();
  call.rows = std::make_unique<GuardedBuffer>(bytes);
  call.request.out_x = {call.rows->data(), plan.landed_dtype(), {rows, plan.hidden}};
  if (words != 0) {
    const bool packed = plan.quantize == Quantize::kFp8ScalesUe8m0;
    call.scales = std::make_unique<GuardedBuffer>(static_cast<std::size_t>(rows * words) * 4);
    call.request.out_scales = {
        call.scales->data(), packed ? DType::kUe8m0x4 : DType::kFp32, {rows, words}};
  }
}

void give_routing(DispatchCall& call,
                  const DispatchPlan& plan,
                  const DispatchPlan::Source& source) {
  call.narrow_topk.assign(source.topk_idx.begin(), source.topk_idx.end());
  const bool wide = plan.index_dtype == DType::kInt64;
  const void* indices = call.narrow_topk.data();
  if (wide) {
    indices = source.topk_idx.data();
  }
  call.request.topk_idx = {indices, plan.index_dtype, {source.num_tokens, plan.topk}};
  if (plan.weighted) {
    call.request.topk_weights = {
        source.topk_weights.data(), DType::kFp32, {source.num_tokens, plan.topk}};
  }
  call.request.num_experts = plan.num_experts;
  call.request.layout = plan.layout;
  call.request.expert_alignment = plan.expert_alignment;
  call.request.zero_padding = plan.zero_padding;
  call.request.max_tokens = plan.max_tokens;
}

}  // namespace

DispatchCall make_dispatch_call(const DispatchPlan& plan,
                                NaiveExchange& naive,
                                int dispatch,
                                int rank) {
  const DispatchPlan::Source& source = plan.sources[static_cast<std::size_t>(rank)];
  DispatchCall call;
  call.request.x = {source.x.data(), plan.dtype, {source.num_tokens, plan.hidden}};
  call.request.quantize = plan.quantize;
  if (plan.carries_scales) {
    call.request.scales = {
        source.scales.data(), DType::kFp32, {source.num_tokens, plan.scale_words()}};
  }
  if (source.caller_output) {
    const std::int64_t spare = plan.refused_by == rank ? -1 : dispatch % 2;
    give_output(call, plan, naive.landing(dispatch, rank).num_rows + spare);
  }
  if (plan.follows < 0) {
    give_routing(call, plan, source);
  }
  return call;
}

CombineCall make_combine_call(const ExchangePlan& plan,
                              NaiveExchange& naive,
                              int combine,
                              int rank,
                              const ConstTensorView& rows) {
  const CombinePlan& own = plan.combines[static_cast<std::size_t>(combine)];
  const DispatchPlan& dispatch = plan.dispatches[static_cast<std::size_t>(own.dispatch)];
  const CombineData& data = naive.data(combine, rank);
  const std::int64_t num_rows = naive.landing(own.dispatch, rank).num_rows;
  const std::int64_t num_tokens = dispatch.sources[static_cast<std::size_t>(rank)].num_tokens;
  CombineCall call;
  CombineRequest& request = call.request;
  request.x = rows;
  if (own.weighs_rows) {
    request.row_weights = {data.row_weights.data(), DType::kFp32, {num_rows}};
  }
  if (own.weighs_entries) {
    request.topk_weights = {data.topk_weights.data(), DType::kFp32, {num_tokens, dispatch.topk}};
  }
  if (own.sums_topk_weights) {
    const int entries = dispatch.layout == Layout::kRankMajor ? dispatch.topk : 1;
    request.row_topk_weights = {data.row_topk_weights.data(), DType::kFp32, {num_rows, entries}};
  }
  for (int i = 0; i < own.num_biases; ++i) {
    request.bias[static_cast<std::size_t>(i)] = {
        data.biases[i].data(), own.dtype, {num_tokens, dispatch.hidden}};
  }
  if (own.caller_output[static_cast<std::size_t>(rank)]) {
    const auto elems = static_cast<std::size_t>(num_tokens * dispatch.hidden);
    call.out = std::make_unique<GuardedBuffer>(elems * dtype_bytes(own.dtype));
    request.out = {call.out->data(), own.dtype, {num_tokens, dispatch.hidden}};
  }
  return call;
}

}  // namespace switchyard::sim
