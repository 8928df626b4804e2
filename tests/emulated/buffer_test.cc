// Buffer on a device, through its public face: the cases of the conformance tier, on kernels whose
// lanes, blocks and hosts take turns as a seed draws them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "switchyard/error.h"
#include "tests/emulated/support/emulated_buffers.h"
#include "tests/support/bad_requests.h"
#include "tests/support/masked_case.h"
#include "tests/support/operation_cases.h"
#include "tests/support/seeds.h"

namespace switchyard {
namespace {

using bench::Workload;
using emulated::emulated_config;
using emulated::HostOptions;
using test::RankContext;
using test::text_of;
using ::testing::AllOf;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr std::uint64_t kSeeds = 2;

/// `run(seed)` for some seeds; the test fails with the seed that an error came of.
void for_seeds(std::uint64_t count, const std::function<void(std::uint64_t)>& run) {
  test::for_each_seed(count, [&](std::uint64_t seed) {
    SCOPED_TRACE("--seed=" + std::to_string(seed));
    ASSERT_NO_THROW(run(seed));
  });
}

void run(const Workload& workload,
         const test::RankBody& body,
         const Config& config = emulated_config(),
         const std::vector<int>& tokens_of = {}) {
  for_seeds(kSeeds, [&](std::uint64_t seed) {
    emulated::run_group(workload, test::route_all(workload, tokens_of), config, seed, body);
  });
}

class EmulatedDispatchCombine : public ::testing::TestWithParam<test::Case> {};

TEST_P(EmulatedDispatchCombine, MatchesTheReference) {
  run(GetParam().workload, test::exchange_once, emulated_config(), GetParam().tokens_of);
}

TEST_P(EmulatedDispatchCombine, MatchesTheReferenceWithCopiesMadeByTheReceiver) {
  Config config = emulated_config();
  config.expert_copies = ExpertCopies::kByReceiver;
  config.num_sms = 2;
  run(GetParam().workload, test::exchange_once, config, GetParam().tokens_of);
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         EmulatedDispatchCombine,
                         ::testing::ValuesIn(test::cases()),
                         [](const auto& each) { return each.param.name; });

using LayoutAndCase = std::tuple<Layout, test::OperationCase>;
class EmulatedOperations : public ::testing::TestWithParam<LayoutAndCase> {};

TEST_P(EmulatedOperations, Work) {
  run(test::float_workload(std::get<Layout>(GetParam())),
      std::get<test::OperationCase>(GetParam()).body);
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         EmulatedOperations,
                         ::testing::Combine(::testing::ValuesIn(test::kAllLayouts),
                                            ::testing::ValuesIn(test::operation_cases())),
                         [](const auto& each) {
                           return test::case_name(std::get<1>(each.param), std::get<0>(each.param));
                         });

class EmulatedMembers : public ::testing::TestWithParam<Layout> {};

TEST_P(EmulatedMembers, SurvivorsGoOnWithTheWorldsExperts) {
  const Membership membership{.world_ranks = 5, .members = {0, 2, 4}};
  const auto host = [&](std::unique_ptr<Bootstrap> bootstrap,
                        const runtime::MakeDevice& make_device) {
    const int rank = bootstrap->rank();
    Group group(std::move(bootstrap), {.membership = membership});
    Buffer buffer = runtime::make_device_buffer(group, emulated_config(), make_device);
    const test::MaskedCase masked(test::small_world(5, GetParam()), membership, rank);
    test::exchange(buffer, masked);
    const DispatchHandle handle = buffer.dispatch(masked.request()).handle();
    EXPECT_THAT(handle.lost_entries(), ElementsAreArray(masked.lost_entries()));
    group.bootstrap().barrier();
  };
  for_seeds(kSeeds,
            [&](std::uint64_t seed) { emulated::run_hosts({.num_ranks = 3, .seed = seed}, host); });
}

INSTANTIATE_TEST_SUITE_P(Layouts,
                         EmulatedMembers,
                         ::testing::ValuesIn(test::kAllLayouts),
                         [](const auto& each) {
                           return std::to_string(static_cast<int>(each.param));
                         });

TEST(EmulatedBuffer, RefusesBadRequestsAsEveryTarget) {
  run(test::refusal_workload(), test::expect_bad_dispatches_refused);
  run(test::refusal_workload(), test::expect_bad_combines_refused);
}

TEST(EmulatedBuffer, NamesTheEntryThatIsNoExpertOnItsRankAlone) {
  run(test::refusal_workload(), [](const RankContext& context) {
    bench::RankRouting routing = context.inputs.routing();
    routing.topk_idx[5] = 99;
    DispatchRequest request = context.request();
    if (context.rank == 0) {
      request.topk_idx.data = routing.topk_idx.data();
      EXPECT_EQ(text_of<InvalidArgument>([&] { (void)context.buffer.dispatch(request); }),
                "topk_idx[2][1]: got 99, wanted an expert in [0, 8) or -1 for none");
    } else {
      EXPECT_NO_THROW((void)context.buffer.dispatch(request));
    }
    EXPECT_EQ(context.buffer.memory_use().used_bytes, 0U);
    test::exchange_once(context);
  });
}

TEST(EmulatedBuffer, SaysOnEveryRankWhichOneSetTooLittleAside) {
  Workload wide = test::refusal_workload();
  wide.hidden = 4096;  // several pages for what comes
  run(wide, [](const RankContext& context) {
    DispatchRequest request = context.request();
    request.max_rows = context.rank == 1 ? 1 : request.max_rows;
    EXPECT_THAT(text_of<HeapTooSmall>([&] { (void)context.buffer.dispatch(request); }),
                AllOf(HasSubstr("the heap of rank 1"), HasSubstr("max_rows")));
    EXPECT_EQ(context.buffer.memory_use().used_bytes, 0U);
    test::exchange_once(context);
  });
}

TEST(EmulatedBuffer, TakesWhatThereIsWhereLessThanTheWorstCaseIsFree) {
  run(test::refusal_workload(), [](const RankContext& context) {
    const std::uint64_t free_bytes =
        context.buffer.memory_use().heap_bytes - context.buffer.memory_use().control_bytes;
    const auto left = static_cast<std::int64_t>(free_bytes) - 4 * 4096;
    const HeapTensor rest = context.buffer.allocate(DType::kFp8E4m3, {left / 4096 * 4096});
    DispatchRequest request = context.inputs.request();  // sets nothing aside by itself
    request.max_rows = 1'000'000;
    const DispatchResult result = context.buffer.dispatch(request);
    test::expect_ok(context.check(result));
  });
}

TEST(EmulatedBuffer, KeepsOfItsLandingOnlyWhatCame) {
  run(test::refusal_workload(), [](const RankContext& context) {
    DispatchRequest request = context.request();
    const std::uint64_t exact = [&] {
      const DispatchResult result = context.buffer.dispatch(request);
      return context.buffer.memory_use().used_bytes;
    }();
    request.max_rows = 4096;
    const DispatchResult result = context.buffer.dispatch(request);
    EXPECT_EQ(context.buffer.memory_use().used_bytes, exact);
  });
}

TEST(EmulatedBuffer, TellsRanksThatDisagreeInWhat) {
  run(test::refusal_workload(), [](const RankContext& context) {
    DispatchRequest request = context.request();
    request.layout = context.rank == 0 ? Layout::kRankMajor : Layout::kExpertMajor;
    EXPECT_THAT(text_of<ConfigMismatch>([&] { (void)context.buffer.dispatch(request); }),
                HasSubstr("layout"));
    test::exchange_once(context);
  });
}

TEST(EmulatedBuffer, KeepsPlacesOfAFailedPaddedDispatchFromEverybodyForAWhile) {
  Workload padded = test::refusal_workload();
  padded.layout = Layout::kPadded;
  run(padded, [](const RankContext& context) {
    DispatchRequest request = context.request();
    request.quantize = context.rank == 0 ? Quantize::kNone : Quantize::kFp8ScalesFp32;
    EXPECT_THROW((void)context.buffer.dispatch(request), ConfigMismatch);
    EXPECT_GT(context.buffer.memory_use().used_bytes, 0U);
    for (int i = 0; i < 2 * context.buffer.config().max_in_flight; ++i) {
      test::expect_ok(context.check(context.buffer.dispatch(context.request())));
    }
    EXPECT_EQ(context.buffer.memory_use().used_bytes, 0U);
  });
}

TEST(EmulatedBuffer, NamesTheRankThatStaysAwayAndFailsFromThenOn) {
  Config config = emulated_config();
  config.timeout = std::chrono::milliseconds(20);  // of virtual time
  run(
      test::refusal_workload(),
      [](const RankContext& context) {
        if (context.rank == 1) {
          return;
        }
        EXPECT_THAT(text_of<Timeout>([&] { (void)context.buffer.dispatch(context.request()); }),
                    AllOf(HasSubstr("rank 1 made no progress"), HasSubstr("rank 0 (this rank)")));
        EXPECT_THROW((void)context.buffer.issue(context.request()), Timeout);
        EXPECT_THAT(context.buffer.lost_ranks(), ::testing::ElementsAre(1));
      },
      config);
}

TEST(EmulatedBuffer, IsRefusedWhenItsRanksDoNotFitTheirDeviceTogether) {
  const HostOptions options{.num_ranks = 3, .resident_sms = 5};
  emulated::run_hosts(
      options, [](std::unique_ptr<Bootstrap> bootstrap, const runtime::MakeDevice& make_device) {
        Group group(std::move(bootstrap));
        Config config = emulated_config();
        config.num_sms = 2;
        EXPECT_THAT(text_of<InvalidArgument>(
                        [&] { (void)runtime::make_device_buffer(group, config, make_device); }),
                    AllOf(HasSubstr("num_sms"), HasSubstr("6 in all"), HasSubstr("at most the 5")));
      });
}

}  // namespace
}  // namespace switchyard
