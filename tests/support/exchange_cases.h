// Workloads that every target must handle, and the exchange that shows it: layouts, element types,
// shapes, empties, skews.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/moe_group.h"

namespace switchyard::test {

inline bench::Workload small_workload() {
  bench::Workload workload;
  workload.num_ranks = 4;
  workload.tokens = 37;
  workload.hidden = 256;
  workload.topk = 4;
  workload.num_experts = 16;
  return workload;
}

inline void expect_ok(const bench::VerifyReport& report, std::int64_t wanted_rows = 0) {
  EXPECT_TRUE(report.ok()) << report.first;
  EXPECT_GE(report.rows_checked, wanted_rows);
}

/// One dispatch and one combine, both verified whole, rows poisoned before they are given back.
inline void exchange_once(const RankContext& context) {
  DispatchResult result = context.buffer.dispatch(context.request());
  expect_ok(context.check(result), context.reference->num_landed());
  HeapTensor outputs = allocate_expert_rows(context, result);
  context.fill_expert_rows(outputs.view());
  CombineResult combined = context.buffer.combine(combine_request(context, result, outputs.view()));
  expect_ok(context.check(combined), context.reference->num_tokens());
  context.poison(result.x());
  context.poison(combined.out());
}

struct Case {
  std::string name;
  bench::Workload workload;
  std::vector<int> tokens_of;
};

inline Case make_case(std::string name,
                      void (*change)(bench::Workload&),
                      std::vector<int> tokens_of = {}) {
  bench::Workload workload = small_workload();
  change(workload);
  return {std::move(name), workload, std::move(tokens_of)};
}

inline std::vector<Case> layout_and_type_cases() {
  return {
      make_case("RankMajorBf16", [](bench::Workload&) {}),
      make_case("RankMajorFp16", [](bench::Workload& w) { w.dtype = DType::kFp16; }),
      make_case("RankMajorFp32", [](bench::Workload& w) { w.dtype = DType::kFp32; }),
      make_case("RankMajorFp8WithFp32Scales",
                [](bench::Workload& w) {
                  w.dtype = DType::kFp8E4m3;
                  w.carried_scales = protocol::ScaleFormat::kFp32;
                }),
      make_case("ExpertMajorFp8WithUe8m0Scales",
                [](bench::Workload& w) {
                  w.dtype = DType::kFp8E4m3;
                  w.carried_scales = protocol::ScaleFormat::kUe8m0;
                  w.layout = Layout::kExpertMajor;
                }),
      make_case("ExpertMajor", [](bench::Workload& w) { w.layout = Layout::kExpertMajor; }),
      make_case("ExpertMajorAlignedZeroed",
                [](bench::Workload& w) {
                  w.layout = Layout::kExpertMajor;
                  w.expert_alignment = 16;
                  w.zero_padding = true;
                }),
      make_case("ExpertMajorQuantizedToFp8",
                [](bench::Workload& w) {
                  w.layout = Layout::kExpertMajor;
                  w.quantize = Quantize::kFp8ScalesFp32;
                }),
      make_case("Padded", [](bench::Workload& w) { w.layout = Layout::kPadded; }),
      make_case("PaddedRoomy",
                [](bench::Workload& w) {
                  w.layout = Layout::kPadded;
                  w.max_tokens = 50;
                }),
      make_case("PaddedQuantizedToFp8",
                [](bench::Workload& w) {
                  w.layout = Layout::kPadded;
                  w.quantize = Quantize::kFp8ScalesFp32;
                }),
      make_case("PaddedQuantizedToUe8m0",
                [](bench::Workload& w) {
                  w.layout = Layout::kPadded;
                  w.quantize = Quantize::kFp8ScalesUe8m0;
                }),
  };
}

inline std::vector<Case> shape_and_routing_cases() {
  return {
      make_case("Masked", [](bench::Workload& w) { w.routing = "masked"; }),
      make_case("MaskedExpertMajor",
                [](bench::Workload& w) {
                  w.routing = "masked:0.6";
                  w.layout = Layout::kExpertMajor;
                }),
      make_case("Skewed", [](bench::Workload& w) { w.routing = "zipf:2"; }),
      make_case("Top1", [](bench::Workload& w) { w.topk = 1; }),
      make_case("Top32",
                [](bench::Workload& w) {
                  w.topk = 32;
                  w.num_experts = 64;
                }),
      make_case("NarrowestRows", [](bench::Workload& w) { w.hidden = 8; }),
      make_case("OddRows",
                [](bench::Workload& w) {
                  w.hidden = 2888;
                  w.layout = Layout::kExpertMajor;
                }),
      make_case("OneRank", [](bench::Workload& w) { w.num_ranks = 1; }),
      make_case("SevenRanks",
                [](bench::Workload& w) {
                  w.num_ranks = 7;
                  w.num_experts = 21;
                }),
      make_case("DifferentTokenCounts", [](bench::Workload&) {}, {5, 0, 64, 1}),
      make_case("DifferentTokenCountsPadded",
                [](bench::Workload& w) {
                  w.layout = Layout::kPadded;
                  w.max_tokens = 64;
                },
                {5, 0, 64, 1}),
      make_case("NoTokensAnywhere",
                [](bench::Workload& w) { w.layout = Layout::kExpertMajor; },
                {0, 0, 0, 0}),
  };
}

inline std::vector<Case> cases() {
  std::vector<Case> all = layout_and_type_cases();
  for (Case& each : shape_and_routing_cases()) {
    all.push_back(std::move(each));
  }
  return all;
}

}  // namespace switchyard::test
