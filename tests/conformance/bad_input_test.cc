// A caller's mistakes: each gets an error with name, got and wanted, moves nothing, and leaves the
// group usable.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/moe_group.h"
#include "tests/support/refusal.h"

namespace switchyard {
namespace {

using bench::Workload;
using test::RankContext;
using test::text_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

Workload workload() {
  Workload result;
  result.num_ranks = 2;
  result.tokens = 8;
  result.hidden = 64;
  result.topk = 2;
  result.num_experts = 8;
  return result;
}

void run(const test::RankBody& body,
         const Config& config = test::test_config(),
         const Workload& shape = workload()) {
  test::run_group(shape, test::route_all(shape), config, body);
}

/// The group still works: a whole verified exchange.
void expect_usable(const RankContext& context) {
  DispatchResult result = context.buffer.dispatch(context.inputs.request());
  const bench::VerifyReport report = context.verifier().check_dispatch(result);
  EXPECT_TRUE(report.ok()) << report.first;
  HeapTensor outputs = test::allocate_expert_rows(context, result);
  bench::fill_expert_rows(*context.reference, outputs.view());
  const bench::VerifyReport sums = context.verifier().check_combine(
      context.buffer.combine(test::combine_request(context, result, outputs.view())));
  EXPECT_TRUE(sums.ok()) << sums.first;
}

struct BadDispatch {
  std::string name;
  std::function<void(DispatchRequest&)> spoil;
  std::vector<std::string> wanted;  ///< parts of the message
};

std::vector<BadDispatch> bad_tensors() {
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

std::vector<BadDispatch> bad_options() {
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

TEST(BadInput, EveryBadDispatchIsRefusedWithNameGotAndWantedAndTheGroupStaysUsable) {
  run([](const RankContext& context) {
    std::vector<BadDispatch> all = bad_tensors();
    for (BadDispatch& bad : bad_options()) {
      all.push_back(std::move(bad));
    }
    for (const BadDispatch& bad : all) {
      SCOPED_TRACE(bad.name);
      DispatchRequest request = context.inputs.request();
      bad.spoil(request);
      const std::string text =
          text_of<InvalidArgument>([&] { (void)context.buffer.dispatch(request); });
      for (const std::string& part : bad.wanted) {
        EXPECT_THAT(text, HasSubstr(part));
      }
    }
    expect_usable(context);
  });
}

TEST(BadInput, AnExpertOutOfRangeIsNamedWithItsTokenAndPosition) {
  run([](const RankContext& context) {
    for (const std::int64_t bad : {std::int64_t{8}, std::int64_t{-2}, std::int64_t{1} << 40}) {
      bench::RankRouting routing = context.inputs.routing();
      routing.topk_idx[2 * 5 + 1] = bad;
      DispatchRequest request = context.inputs.request();
      request.topk_idx = ConstTensorView(routing.topk_idx.data(), DType::kInt64, {8, 2});
      EXPECT_THAT(
          text_of<InvalidArgument>([&] { (void)context.buffer.dispatch(request); }),
          AllOf(HasSubstr("topk_idx[5][1]"), HasSubstr(std::to_string(bad)), HasSubstr("[0, 8)")));
    }
    expect_usable(context);
  });
}

TEST(BadInput, BadCombinesAreRefused) {
  run([](const RankContext& context) {
    DispatchResult result = context.buffer.dispatch(context.inputs.request());
    HeapTensor outputs = test::allocate_expert_rows(context, result);
    const auto refused = [&](const std::function<void(CombineRequest&)>& spoil) {
      CombineRequest request = test::combine_request(context, result, outputs.view());
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
    expect_usable(context);
  });
}

TEST(BadInput, ShapesThatNoHeapHoldsAreRefused) {
  run([](const RankContext& context) {
    const std::int64_t huge = std::int64_t{1} << 40U;
    const auto beyond = [&](std::initializer_list<std::int64_t> shape) {
      return text_of<HeapTooSmall>([&] { (void)context.buffer.allocate(DType::kBf16, shape); });
    };
    EXPECT_THAT(beyond({huge, huge}),
                AllOf(HasSubstr("[1099511627776, 1099511627776] of bf16"),
                      HasSubstr("2^64 bytes or more")));
    EXPECT_THAT(beyond({0, huge, huge}), HasSubstr("[0, 1099511627776, 1099511627776]"));
    EXPECT_THAT(beyond({huge}), HasSubstr("needed 2199023255552 bytes"));
    const auto refused = [&](std::initializer_list<std::int64_t> shape) {
      return text_of<InvalidArgument>([&] { (void)context.buffer.allocate(DType::kBf16, shape); });
    };
    EXPECT_THAT(refused({4, -1}), HasSubstr("allocate shape[1]: got -1 in [4, -1], wanted 0"));
    EXPECT_THAT(refused({}), HasSubstr("[] (0 dimensions)"));
    EXPECT_THAT(refused({1, 2, 3, 4, 5}), HasSubstr("[1, 2, 3, 4, 5] (5 dimensions)"));
    EXPECT_EQ(context.buffer.allocate(DType::kBf16, {0, 64}).view().num_elems(), 0);
    expect_usable(context);
  });
}

TEST(BadInput, HandlesOfOtherBuffersAndEmptyOnesAreRefused) {
  run([](const RankContext& context) {
    Buffer other(context.group, test::test_config());
    DispatchResult foreign = other.dispatch(context.inputs.request());
    CombineRequest request = test::combine_request(context, foreign, foreign.x());
    EXPECT_THAT(text_of<InvalidState>([&] { (void)context.buffer.combine(request); }),
                HasSubstr("another buffer"));
    request.handle = {};
    EXPECT_THAT(text_of<InvalidState>([&] { (void)context.buffer.combine(request); }),
                HasSubstr("empty"));
    DispatchRequest along = context.inputs.request();
    along.handle = foreign.handle();
    EXPECT_THAT(text_of<InvalidState>([&] { (void)context.buffer.dispatch(along); }),
                HasSubstr("another buffer"));
    expect_usable(context);
  });
}

TEST(BadInput, UseAfterReleaseIsRefused) {
  run([](const RankContext& context) {
    DispatchResult result = context.buffer.dispatch(context.inputs.request());
    HeapTensor tensor = test::allocate_expert_rows(context, result);
    result.release();
    tensor.release();
    EXPECT_THAT(text_of<InvalidState>([&] { (void)result.x(); }), HasSubstr("after release"));
    EXPECT_THAT(text_of<InvalidState>([&] { (void)tensor.view(); }), HasSubstr("after release"));
    EXPECT_EQ(result.handle().num_tokens(), 8);  // the handle outlives the rows
    PendingDispatch pending = context.buffer.issue(context.inputs.request());
    (void)pending.finish();
    EXPECT_THAT(text_of<InvalidState>([&] { (void)pending.finish(); }), HasSubstr("second call"));
    expect_usable(context);
  });
}

TEST(BadInput, TooManyOperationsInFlightAreRefused) {
  Config config = test::test_config();
  config.max_in_flight = 2;
  run(
      [](const RankContext& context) {
        std::vector<PendingDispatch> pending;
        pending.push_back(context.buffer.issue(context.inputs.request()));
        pending.push_back(context.buffer.issue(context.inputs.request()));
        EXPECT_THAT(
            text_of<InvalidState>([&] { (void)context.buffer.issue(context.inputs.request()); }),
            AllOf(HasSubstr("in flight"), HasSubstr("= 2")));
        pending.clear();
        expect_usable(context);
      },
      config);
}

TEST(BadInput, AFullHeapIsReportedByEveryRankBeforeARowMoves) {
  for (const Layout layout : {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded}) {
    Workload shape = workload();
    shape.layout = layout;
    run(
        [](const RankContext& context) {
          // Rank 1 alone has no room left.
          std::optional<HeapTensor> hog;
          if (context.rank == 1) {
            const MemoryUse use = context.buffer.memory_use();
            const auto bytes =
                static_cast<std::int64_t>(use.heap_bytes - use.control_bytes - use.used_bytes);
            hog = context.buffer.allocate(DType::kUint8, {bytes / 4096 * 4096});
          }
          for (int round = 0; round < 3; ++round) {
            try {
              (void)context.buffer.dispatch(context.inputs.request());
              ADD_FAILURE() << "the dispatch went through";
            } catch (const HeapTooSmall& error) {
              EXPECT_EQ(error.rank(), 1);
              EXPECT_GT(error.needed_bytes(), error.free_bytes());
              EXPECT_THAT(error.what(), AllOf(HasSubstr("rank 1"), HasSubstr("heap_bytes")));
            }
          }
          hog.reset();
          expect_usable(context);
        },
        test::test_config(),
        shape);
  }
}

TEST(BadInput, ACombineWithoutRoomIsReportedByEveryRank) {
  run([](const RankContext& context) {
    DispatchResult result = context.buffer.dispatch(context.inputs.request());
    HeapTensor outputs = test::allocate_expert_rows(context, result);
    std::optional<HeapTensor> hog;
    if (context.rank == 0) {
      const MemoryUse use = context.buffer.memory_use();
      const auto bytes =
          static_cast<std::int64_t>(use.heap_bytes - use.control_bytes - use.used_bytes);
      hog = context.buffer.allocate(DType::kUint8, {bytes / 4096 * 4096});
    }
    try {
      (void)context.buffer.combine(test::combine_request(context, result, outputs.view()));
      ADD_FAILURE() << "the combine went through";
    } catch (const HeapTooSmall& error) {
      EXPECT_EQ(error.rank(), 0);
    }
    hog.reset();
    expect_usable(context);
  });
}

TEST(BadInput, OutputMemoryTooSmallOnOneRankIsReportedByEveryRank) {
  run([](const RankContext& context) {
    bench::GuardedRows memory(DType::kBf16, context.rank == 0 ? 1 : 64, 64);
    DispatchRequest request = context.inputs.request();
    request.out_x = memory.view();
    EXPECT_THAT(text_of<InvalidArgument>([&] { (void)context.buffer.dispatch(request); }),
                AllOf(HasSubstr("out_x"), HasSubstr("rank 0"), HasSubstr("got 1")));
    EXPECT_TRUE(memory.check_untouched(0).ok());
    expect_usable(context);
  });
}

TEST(BadInput, RanksThatDisagreeOnAnOperationAreToldInWhatAndStayUsable) {
  run([](const RankContext& context) {
    DispatchRequest request = context.inputs.request();
    if (context.rank == 1) {
      request.layout = Layout::kExpertMajor;
      request.num_experts = 16;
    }
    try {
      (void)context.buffer.dispatch(request);
      ADD_FAILURE() << "the dispatch went through";
    } catch (const ConfigMismatch& error) {
      EXPECT_EQ(error.rank(), 1 - context.rank);
      EXPECT_THAT(error.what(), AllOf(HasSubstr("num_experts"), HasSubstr("layout")));
    }
    expect_usable(context);
  });
}

TEST(BadInput, ADispatchAgainstACombineIsADisagreementNotAHang) {
  run([](const RankContext& context) {
    DispatchResult result = context.buffer.dispatch(context.inputs.request());
    const auto act = [&] {
      if (context.rank == 0) {
        (void)context.buffer.dispatch(context.inputs.request());
      } else {
        (void)context.buffer.combine(test::combine_request(context, result, result.x()));
      }
    };
    EXPECT_THAT(text_of<ConfigMismatch>(act), HasSubstr("operation (1 dispatch, 2 combine)"));
    DispatchRequest padded = context.inputs.request();
    padded.layout = Layout::kPadded;
    padded.max_tokens = 8;
    DispatchRequest along;
    along.x = context.inputs.x();
    along.handle = result.handle();
    for (int round = 0; round < 4; ++round) {
      EXPECT_THAT(text_of<ConfigMismatch>([&] {
                    (void)context.buffer.dispatch(context.rank == round % 2 ? padded : along);
                  }),
                  HasSubstr("layout"));
      (void)context.buffer.dispatch(padded);
    }
    expect_usable(context);
  });
}

TEST(BadInput, RanksThatTheGroupHasNotAreRefused) {
  run([](const RankContext& context) {
    const DispatchResult result = context.buffer.dispatch(context.inputs.request());
    for (const int rank : {-1, 2, 7}) {
      EXPECT_THAT(
          text_of<InvalidArgument>([&] { (void)result.handle().tokens_of_rank(rank); }),
          AllOf(HasSubstr("tokens_of_rank: got " + std::to_string(rank)), HasSubstr("0 to 1")));
      EXPECT_THAT(text_of<InvalidArgument>([&] { (void)context.group.world_rank(rank); }),
                  AllOf(HasSubstr("world_rank: got " + std::to_string(rank)), HasSubstr("0 to 1")));
    }
    EXPECT_FALSE(result.handle().tokens_of_rank(1).empty());
  });
}

}  // namespace
}  // namespace switchyard
