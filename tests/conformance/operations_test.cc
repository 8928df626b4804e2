// What frameworks do beyond one dispatch and one combine: the operation cases of every target, and
// what only this target promises of timing and memory.
#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/support/operation_cases.h"

namespace switchyard {
namespace {

using bench::Workload;
using test::RankContext;

void run(const Workload& workload,
         const test::RankBody& body,
         const Config& config = test::test_config()) {
  test::run_group(workload, test::route_all(workload), config, body);
}

using LayoutAndCase = std::tuple<Layout, test::OperationCase>;
class OperationsOfBuffer : public ::testing::TestWithParam<LayoutAndCase> {};

TEST_P(OperationsOfBuffer, Work) {
  Config config = test::test_config();
  config.num_workers = 2;
  run(test::float_workload(std::get<Layout>(GetParam())),
      std::get<test::OperationCase>(GetParam()).body,
      config);
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         OperationsOfBuffer,
                         ::testing::Combine(::testing::ValuesIn(test::kAllLayouts),
                                            ::testing::ValuesIn(test::operation_cases())),
                         [](const auto& each) {
                           return test::case_name(std::get<1>(each.param), std::get<0>(each.param));
                         });

class PerLayout : public ::testing::TestWithParam<Layout> {};

TEST_P(PerLayout, ResultsAreTheSameBitForBitWhateverTheTiming) {
  const Workload workload = test::float_workload(GetParam());
  std::vector<std::vector<std::vector<float>>> outcomes;
  for (int attempt = 0; attempt < 3; ++attempt) {
    Config config = test::test_config();
    config.num_workers = attempt + 1;
    config.num_channels = 2 * attempt + 1;
    config.chunk_tokens = 1 + 7 * attempt;
    std::vector<std::vector<float>> sums(static_cast<std::size_t>(workload.num_ranks));
    run(
        workload,
        [&](const RankContext& context) {
          DispatchResult result = context.buffer.dispatch(context.inputs.request());
          const CombineResult combined =
              context.buffer.combine(test::combine_request(context, result, result.x()));
          const auto* data = static_cast<const float*>(combined.out().data);
          sums[static_cast<std::size_t>(context.rank)].assign(data,
                                                              data + combined.out().num_elems());
        },
        config);
    outcomes.push_back(std::move(sums));
  }
  EXPECT_EQ(outcomes[0], outcomes[1]);
  EXPECT_EQ(outcomes[0], outcomes[2]);
}

INSTANTIATE_TEST_SUITE_P(Layouts,
                         PerLayout,
                         ::testing::ValuesIn(test::kAllLayouts),
                         [](const auto& each) {
                           std::string name = layout_name(each.param);
                           std::erase(name, '-');
                           return name;
                         });

TEST(Operations, AnExpertNamedTwiceGetsOneRowWithTheSumOfItsWeights) {
  Workload workload = test::float_workload(Layout::kExpertMajor);
  auto routing = std::make_shared<std::vector<bench::RankRouting>>(*test::route_all(workload));
  for (bench::RankRouting& each : *routing) {
    for (std::size_t token = 0; token < static_cast<std::size_t>(each.num_tokens); token += 2) {
      each.topk_idx[token * 4 + 3] = each.topk_idx[token * 4];
    }
  }
  test::run_group(workload, routing, test::test_config(), [](const RankContext& context) {
    DispatchResult result = context.buffer.dispatch(context.inputs.request());
    test::expect_ok(context.verifier().check_dispatch(result));
    HeapTensor outputs = test::allocate_expert_rows(context, result);
    bench::fill_expert_rows(*context.reference, outputs.view());
    test::expect_ok(context.verifier().check_combine(
        context.buffer.combine(test::combine_request(context, result, outputs.view()))));
  });
}

TEST(Operations, PaddedRegionsAreReusedOnlyAfterRelease) {
  run(test::float_workload(Layout::kPadded), [](const RankContext& context) {
    std::vector<DispatchResult> held;
    for (int round = 0; round < 8; ++round) {
      held.push_back(context.buffer.dispatch(context.inputs.request()));
      if (held.size() > 3) {
        test::expect_ok(context.verifier().check_dispatch(held.front()));
        bench::poison(held.front().x());
        held.erase(held.begin());
      }
    }
    for (const DispatchResult& result : held) {
      test::expect_ok(context.verifier().check_dispatch(result));
    }
  });
}

TEST(Operations, PlacesOfAReleasedPaddedResultAreKeptReadyForTheNext) {
  run(test::float_workload(Layout::kPadded), [](const RankContext& context) {
    std::uint64_t one_landing = 0;
    const void* places = nullptr;
    for (int round = 0; round < 6; ++round) {
      DispatchResult landed = context.buffer.dispatch(context.inputs.request());
      test::expect_ok(context.verifier().check_dispatch(landed));
      one_landing = round == 0 ? context.buffer.memory_use().used_bytes : one_landing;
      places = round == 0 ? landed.x().data : places;
      EXPECT_EQ(landed.x().data, places);
      std::thread elsewhere([&landed] { landed.release(); });
      elsewhere.join();
      EXPECT_EQ(context.buffer.memory_use().used_bytes, one_landing) << "kept, not given back";
    }
    EXPECT_EQ(context.buffer.memory_use().peak_used_bytes, one_landing);
  });
}

TEST(Operations, APaddedResultThatOutlivesItsSuccessorIsGivenBack) {
  run(test::float_workload(Layout::kPadded), [](const RankContext& context) {
    DispatchResult first = context.buffer.dispatch(context.inputs.request());
    const std::uint64_t one_landing = context.buffer.memory_use().used_bytes;
    DispatchResult second = context.buffer.dispatch(context.inputs.request());
    EXPECT_EQ(context.buffer.memory_use().used_bytes, 2 * one_landing);
    first.release();
    EXPECT_EQ(context.buffer.memory_use().used_bytes, one_landing);
    test::expect_ok(context.verifier().check_dispatch(second));
  });
}

TEST(Operations, APaddedResultReleasedAfterManyOperationsIsGivenBack) {
  run(test::float_workload(Layout::kPadded), [](const RankContext& context) {
    const bench::RankInputs other(
        test::float_workload(Layout::kRankMajor), context.rank, context.inputs.routing());
    DispatchResult padded = context.buffer.dispatch(context.inputs.request());
    // Its slot is another operation's by now.
    for (int i = 0; i < 2 * context.buffer.config().max_in_flight; ++i) {
      (void)context.buffer.dispatch(other.request());
    }
    padded.release();
    EXPECT_EQ(context.buffer.memory_use().used_bytes, 0U);
    test::expect_ok(
        context.verifier().check_dispatch(context.buffer.dispatch(context.inputs.request())));
  });
}

TEST(Operations, LayoutsAlternateOnOneBuffer) {
  const Workload padded = test::float_workload(Layout::kPadded);
  Workload expert_major = test::float_workload(Layout::kExpertMajor);
  run(padded, [&](const RankContext& context) {
    const bench::RankInputs other(expert_major, context.rank, context.inputs.routing());
    std::vector<bench::RankRouting> all(context.reference->all_routing().begin(),
                                        context.reference->all_routing().end());
    const bench::Verifier other_verifier(
        std::make_shared<const bench::Reference>(expert_major, context.rank, std::move(all)));
    for (int round = 0; round < 6; ++round) {
      test::expect_ok(
          context.verifier().check_dispatch(context.buffer.dispatch(context.inputs.request())));
      test::expect_ok(other_verifier.check_dispatch(context.buffer.dispatch(other.request())));
      if (round % 2 == 0) {
        DispatchRequest wide = context.inputs.request();
        wide.max_tokens = 40;  // another landing shape: the region offered ahead does not fit
        (void)context.buffer.dispatch(wide);
      }
    }
  });
}

}  // namespace
}  // namespace switchyard
