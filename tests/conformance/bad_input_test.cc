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

#include "tests/support/bad_requests.h"

namespace switchyard {
namespace {

using bench::Workload;
using test::RankContext;
using test::text_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

void run(const test::RankBody& body,
         const Config& config = test::test_config(),
         const Workload& shape = test::refusal_workload()) {
  test::run_group(shape, test::route_all(shape), config, body);
}

TEST(BadInput, EveryBadDispatchIsRefusedWithNameGotAndWantedAndTheGroupStaysUsable) {
  run(test::expect_bad_dispatches_refused);
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
    test::exchange_once(context);
  });
}

TEST(BadInput, BadCombinesAreRefused) {
  run(test::expect_bad_combines_refused);
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
    test::exchange_once(context);
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
    test::exchange_once(context);
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
    test::exchange_once(context);
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
        test::exchange_once(context);
      },
      config);
}

TEST(BadInput, AFullHeapIsReportedByEveryRankBeforeARowMoves) {
  for (const Layout layout : {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded}) {
    Workload shape = test::refusal_workload();
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
          test::exchange_once(context);
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
    test::exchange_once(context);
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
    test::exchange_once(context);
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
    test::exchange_once(context);
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
    test::exchange_once(context);
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
