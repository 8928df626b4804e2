// Dispatch and combine as frameworks use them, on groups of threads, judged byte by byte by the
// benchmark's independent reference: layouts, element types, shapes, empties, skews, handles,
// overlap.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/moe_group.h"

namespace switchyard {
namespace {

using bench::Workload;
using test::RankContext;

Workload small_workload() {
  Workload workload;
  workload.num_ranks = 4;
  workload.tokens = 37;
  workload.hidden = 256;
  workload.topk = 4;
  workload.num_experts = 16;
  return workload;
}

void expect_ok(const bench::VerifyReport& report, std::int64_t wanted_rows) {
  EXPECT_TRUE(report.ok()) << report.first;
  EXPECT_GE(report.rows_checked, wanted_rows);
}

/// One dispatch and one combine, both verified whole, rows poisoned before they are given back.
void exchange_once(const RankContext& context) {
  DispatchResult result = context.buffer.dispatch(context.inputs.request());
  expect_ok(context.verifier().check_dispatch(result), context.reference->num_landed());
  HeapTensor outputs = test::allocate_expert_rows(context, result);
  bench::fill_expert_rows(*context.reference, outputs.view());
  CombineResult combined =
      context.buffer.combine(test::combine_request(context, result, outputs.view()));
  expect_ok(context.verifier().check_combine(combined), context.reference->num_tokens());
  bench::poison(result.x());
  bench::poison(combined.out());
}

void exchange(const Workload& workload,
              const Config& config,
              const std::vector<int>& tokens_of = {}) {
  test::run_group(
      workload, test::route_all(workload, tokens_of), config, [](const RankContext& context) {
        for (int round = 0; round < 3; ++round) {
          exchange_once(context);
        }
      });
}

struct Case {
  std::string name;
  Workload workload;
  std::vector<int> tokens_of;
};

Case make_case(std::string name, void (*change)(Workload&), std::vector<int> tokens_of = {}) {
  Workload workload = small_workload();
  change(workload);
  return {std::move(name), workload, std::move(tokens_of)};
}

std::vector<Case> layout_and_type_cases() {
  return {
      make_case("RankMajorBf16", [](Workload&) {}),
      make_case("RankMajorFp16", [](Workload& w) { w.dtype = DType::kFp16; }),
      make_case("RankMajorFp32", [](Workload& w) { w.dtype = DType::kFp32; }),
      make_case("RankMajorFp8WithFp32Scales",
                [](Workload& w) {
                  w.dtype = DType::kFp8E4m3;
                  w.carried_scales = protocol::ScaleFormat::kFp32;
                }),
      make_case("ExpertMajorFp8WithUe8m0Scales",
                [](Workload& w) {
                  w.dtype = DType::kFp8E4m3;
                  w.carried_scales = protocol::ScaleFormat::kUe8m0;
                  w.layout = Layout::kExpertMajor;
                }),
      make_case("ExpertMajor", [](Workload& w) { w.layout = Layout::kExpertMajor; }),
      make_case("ExpertMajorAlignedZeroed",
                [](Workload& w) {
                  w.layout = Layout::kExpertMajor;
                  w.expert_alignment = 16;
                  w.zero_padding = true;
                }),
      make_case("ExpertMajorQuantizedToFp8",
                [](Workload& w) {
                  w.layout = Layout::kExpertMajor;
                  w.quantize = Quantize::kFp8ScalesFp32;
                }),
      make_case("Padded", [](Workload& w) { w.layout = Layout::kPadded; }),
      make_case("PaddedRoomy",
                [](Workload& w) {
                  w.layout = Layout::kPadded;
                  w.max_tokens = 50;
                }),
      make_case("PaddedQuantizedToFp8",
                [](Workload& w) {
                  w.layout = Layout::kPadded;
                  w.quantize = Quantize::kFp8ScalesFp32;
                }),
      make_case("PaddedQuantizedToUe8m0",
                [](Workload& w) {
                  w.layout = Layout::kPadded;
                  w.quantize = Quantize::kFp8ScalesUe8m0;
                }),
  };
}

std::vector<Case> shape_and_routing_cases() {
  return {
      make_case("Masked", [](Workload& w) { w.routing = "masked"; }),
      make_case("MaskedExpertMajor",
                [](Workload& w) {
                  w.routing = "masked:0.6";
                  w.layout = Layout::kExpertMajor;
                }),
      make_case("Skewed", [](Workload& w) { w.routing = "zipf:2"; }),
      make_case("Top1", [](Workload& w) { w.topk = 1; }),
      make_case("Top32",
                [](Workload& w) {
                  w.topk = 32;
                  w.num_experts = 64;
                }),
      make_case("NarrowestRows", [](Workload& w) { w.hidden = 8; }),
      make_case("OddRows",
                [](Workload& w) {
                  w.hidden = 2888;
                  w.layout = Layout::kExpertMajor;
                }),
      make_case("OneRank", [](Workload& w) { w.num_ranks = 1; }),
      make_case("SevenRanks",
                [](Workload& w) {
                  w.num_ranks = 7;
                  w.num_experts = 21;
                }),
      make_case("DifferentTokenCounts", [](Workload&) {}, {5, 0, 64, 1}),
      make_case("DifferentTokenCountsPadded",
                [](Workload& w) {
                  w.layout = Layout::kPadded;
                  w.max_tokens = 64;
                },
                {5, 0, 64, 1}),
      make_case(
          "NoTokensAnywhere", [](Workload& w) { w.layout = Layout::kExpertMajor; }, {0, 0, 0, 0}),
  };
}

std::vector<Case> cases() {
  std::vector<Case> all = layout_and_type_cases();
  for (Case& each : shape_and_routing_cases()) {
    all.push_back(std::move(each));
  }
  return all;
}

class DispatchCombine : public ::testing::TestWithParam<Case> {};

TEST_P(DispatchCombine, MatchesTheReference) {
  exchange(GetParam().workload, test::test_config(), GetParam().tokens_of);
}

TEST_P(DispatchCombine, MatchesTheReferenceWithCopiesMadeByTheReceiver) {
  Config config = test::test_config();
  config.expert_copies = ExpertCopies::kByReceiver;
  exchange(GetParam().workload, config, GetParam().tokens_of);
}

TEST_P(DispatchCombine, MatchesTheReferenceWithSeveralWorkersAndChannels) {
  Config config = test::test_config();
  config.num_workers = 2;
  config.num_channels = 3;
  config.chunk_tokens = 1;
  exchange(GetParam().workload, config, GetParam().tokens_of);
}

TEST_P(DispatchCombine, MatchesTheReferenceOverSharedMemory) {
  Config config = test::test_config();
  config.heap_kind = HeapKind::kSharedMemory;
  exchange(GetParam().workload, config, GetParam().tokens_of);
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         DispatchCombine,
                         ::testing::ValuesIn(cases()),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace switchyard
