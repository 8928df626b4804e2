// Requests that every target must refuse before anything is sent, with name, got and wanted.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/exchange_cases.h"
#include "tests/support/refusal.h"

namespace switchyard::test {

/// What bad requests are variations of.
inline bench::Workload refusal_workload() {
  bench::Workload result;
  result.num_ranks = 2;
  result.tokens = 8;
  result.hidden = 64;
  result.topk = 2;
  result.num_experts = 8;
  return result;
}

struct BadDispatch {
  std::string name;
  std::function<void(DispatchRequest&)> spoil;
  std::vector<std::string> wanted;  ///< parts of the message
};

inline std::vector<BadDispatch> bad_tensors() {
  return {
      {"NoX", [](DispatchRequest& r) { r.x = {}; }, {"x", "got nothing"}},
      {"WrongDType",
       [](DispatchRequest& r) { r.x.dtype = DType::kInt32; },
       {"x dtype", "int32", "bf16"}},
      {"OneDimension", [](DispatchRequest& r) { r.x.ndim = 1; }, {"x shape", "two dimensions"}},
      {"UnevenRow",
       [](DispatchRequest& r) { r.x.shape[1] = 63; },
       {"x row bytes", "126 bytes", "multiple of 16"}},
      {"InnerStride",
       [](DispatchRequest& r) { r.x.strides[1] = 2; },
       {"x innermost stride", "got 2"}},
      {"OverlappingRows",
       [](DispatchRequest& r) { r.x.strides[0] = 32; },
       {"x row stride", "got 32"}},
      {"UnalignedStride",
       [](DispatchRequest& r) { r.x.strides[0] = 65; },
       {"x row stride", "130 bytes"}},
      {"UnalignedData",
       [](DispatchRequest& r) { r.x.data = static_cast<const std::byte*>(r.x.data) + 2; },
       {"x data", "aligned to 16"}},
      {"NullData", [](DispatchRequest& r) { r.x.data = nullptr; }, {"x data", "got null"}},
      {"NoTopk", [](DispatchRequest& r) { r.topk_idx = {}; }, {"topk_idx", "got nothing"}},
      {"TopkDType",
       [](DispatchRequest& r) { r.topk_idx.dtype = DType::kFp32; },
       {"topk_idx dtype", "fp32", "int32 or int64"}},
      {"TopkTooWide",
       [](DispatchRequest& r) { r.topk_idx.shape[1] = 33; },
       {"topk_idx shape", "[8, 33]", "1 to 32"}},
      {"TopkTokens",
       [](DispatchRequest& r) { r.topk_idx.shape[0] = 7; },
       {"topk_idx shape", "[7, 2]", "[8, "}},
      {"TopkUnaligned",
       [](DispatchRequest& r) {
         r.topk_idx.data = static_cast<const std::byte*>(r.topk_idx.data) + 4;
       },
       {"topk_idx data", "address 0x", "8 bytes of int64"}},
      {"WeightsShape",
       [](DispatchRequest& r) { r.topk_weights.shape[1] = 3; },
       {"topk_weights shape", "[8, 3]", "[8, 2]"}},
      {"WeightsDType",
       [](DispatchRequest& r) { r.topk_weights.dtype = DType::kBf16; },
       {"topk_weights dtype", "bf16", "fp32"}},
  };
}

inline std::vector<BadDispatch> bad_options() {
  return {
      {"ExpertsNotDivisible",
       [](DispatchRequest& r) { r.num_experts = 7; },
       {"num_experts", "got 7", "multiple of the 2 ranks"}},
      {"TooManyExperts",
       [](DispatchRequest& r) { r.num_experts = 4096; },
       {"num_experts", "4096", "max_experts"}},
      {"MaxTokensTooSmall",
       [](DispatchRequest& r) {
         r.layout = Layout::kPadded;
         r.max_tokens = 5;
       },
       {"max_tokens", "got 5", "8 tokens"}},
      {"AlignmentWithoutExperts",
       [](DispatchRequest& r) { r.expert_alignment = 16; },
       {"expert_alignment", "16", "expert-major"}},
      {"PaddingWithoutExperts",
       [](DispatchRequest& r) { r.zero_padding = true; },
       {"zero_padding", "expert-major"}},
      {"ScalesBesideBf16",
       [](DispatchRequest& r) {
         r.scales = ConstTensorView(r.x.data, DType::kFp32, {8, 1});
       },
       {"scales", "bf16", "fp8_e4m3"}},
      {"QuantizeFp8",
       [](DispatchRequest& r) {
         r.x.dtype = DType::kFp8E4m3;
         r.quantize = Quantize::kFp8ScalesFp32;
       },
       {"quantize", "fp8_e4m3", "bf16"}},
      {"UnknownLayout",
       [](DispatchRequest& r) { r.layout = static_cast<Layout>(9); },
       {"layout", "got 9", "kPadded"}},
      {"UnknownQuantize",
       [](DispatchRequest& r) { r.quantize = static_cast<Quantize>(3); },
       {"quantize", "got 3", "kFp8ScalesUe8m0"}},
      {"OutScalesAlone",
       [](DispatchRequest& r) {
         static float scale = 0;
         r.out_scales = TensorView(&scale, DType::kFp32, {1, 1});
       },
       {"out_scales", "out_x"}},
  };
}

inline void expect_bad_dispatches_refused(const RankContext& context) {
  std::vector<BadDispatch> all = bad_tensors();
  for (BadDispatch& bad : bad_options()) {
    all.push_back(std::move(bad));
  }
  for (const BadDispatch& bad : all) {
    SCOPED_TRACE(bad.name);
    DispatchRequest request = context.request();
    bad.spoil(request);
    const std::string text =
        text_of<InvalidArgument>([&] { (void)context.buffer.dispatch(request); });
    for (const std::string& part : bad.wanted) {
      EXPECT_THAT(text, ::testing::HasSubstr(part));
    }
  }
  exchange_once(context);
}

inline void expect_bad_combines_refused(const RankContext& context) {
  using ::testing::AllOf;
  using ::testing::HasSubstr;
  DispatchResult result = context.buffer.dispatch(context.request());
  HeapTensor outputs = allocate_expert_rows(context, result);
  const auto refused = [&](const std::function<void(CombineRequest&)>& spoil) {
    CombineRequest request = combine_request(context, result, outputs.view());
    spoil(request);
    return text_of<InvalidArgument>([&] { (void)context.buffer.combine(request); });
  };
  EXPECT_THAT(refused([](CombineRequest& r) { r.x.shape[0] -= 1; }), HasSubstr("x shape"));
  EXPECT_THAT(refused([](CombineRequest& r) { r.x.dtype = DType::kFp8E4m3; }),
              AllOf(HasSubstr("x dtype"), HasSubstr("fp8_e4m3")));
  const float weight = 1.0F;
  EXPECT_THAT(refused([&](CombineRequest& r) {
                r.topk_weights = ConstTensorView(&weight, DType::kFp32, {1, 1});
              }),
              HasSubstr("rank-major"));
  EXPECT_THAT(refused([&](CombineRequest& r) {
                r.row_weights = ConstTensorView(&weight, DType::kFp32, {1});
              }),
              HasSubstr("row_weights shape"));
  EXPECT_THAT(refused([&](CombineRequest& r) {
                r.bias[1] = ConstTensorView(&weight, DType::kFp32, {1, 1});
              }),
              HasSubstr("bias[1]"));
  // Sums over rows that are still read would be wrong without a word.
  EXPECT_THAT(refused([&](CombineRequest& r) {
                r.out = TensorView(outputs.view().data, DType::kBf16, {8, 64});
              }),
              AllOf(HasSubstr("out: got memory that overlaps x"), HasSubstr("its own")));
  std::vector<std::uint64_t> bias(std::size_t{9} * 64 * 2 / sizeof(std::uint64_t) + 2);
  void* aligned = bias.data();
  std::size_t room = bias.size() * sizeof(std::uint64_t);
  aligned = std::align(16, std::size_t{9} * 64 * 2, aligned, room);
  EXPECT_THAT(refused([&](CombineRequest& r) {
                r.bias[1] = ConstTensorView(aligned, DType::kBf16, {8, 64});
                r.out = TensorView(static_cast<std::byte*>(aligned) + 128, DType::kBf16, {8, 64});
              }),
              HasSubstr("out: got memory that overlaps bias[1]"));
  exchange_once(context);
}

}  // namespace switchyard::test
