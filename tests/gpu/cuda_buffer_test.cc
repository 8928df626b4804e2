// Buffer on the CUDA target: the cases of the conformance tier, with ranks that are threads of one
// process and share a GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "benchmarks/cuda/gpu_memory.h"
#include "switchyard/error.h"
#include "tests/gpu/gpu_ranks.h"
#include "tests/support/bad_requests.h"
#include "tests/support/operation_cases.h"

namespace switchyard {
namespace {

using bench::Workload;
using test::RankContext;
using test::text_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// Small enough that seven ranks fit on any GPU.
Config cuda_config() {
  Config config = test::test_config();
  config.target = Target::kCuda;
  config.num_sms = 2;
  return config;
}

/// For a group, which owns its bootstrap. Lifetime: less than that of what is borrowed
std::unique_ptr<Bootstrap> borrow(Bootstrap& bootstrap) {
  return make_callback_bootstrap(
      bootstrap.rank(),
      bootstrap.num_ranks(),
      [&bootstrap](std::span<const std::byte> mine, std::span<std::byte> all) {
        bootstrap.all_gather(mine, all);
      });
}

void run(const Workload& workload,
         const test::RankBody& body,
         const Config& config = cuda_config(),
         const std::vector<int>& tokens_of = {}) {
  const auto routing = test::route_all(workload, tokens_of);
  test::run_gpu_threads(workload.num_ranks, [&](Bootstrap& bootstrap) {
    const int rank = bootstrap.rank();
    Group group(borrow(bootstrap));
    Buffer buffer(group, config);
    const bench::RankInputs inputs(workload, rank, (*routing)[static_cast<std::size_t>(rank)]);
    const auto reference = std::make_shared<const bench::Reference>(workload, rank, routing);
    bench::GpuMemory memory;
    body({rank, group, buffer, inputs, reference, memory});
    group.bootstrap().barrier();
  });
}

/// Skips, with the driver's words, where there is no GPU.
template <class Param>
class OnGpu : public ::testing::TestWithParam<Param> {
 protected:
  void SetUp() override {
    if (const std::string reason = test::why_no_gpu(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
};

class CudaDispatchCombine : public OnGpu<test::Case> {};

TEST_P(CudaDispatchCombine, MatchesTheReference) {
  run(
      GetParam().workload,
      [](const RankContext& context) {
        for (int round = 0; round < 3; ++round) {
          test::exchange_once(context);
        }
      },
      cuda_config(),
      GetParam().tokens_of);
}

TEST_P(CudaDispatchCombine, MatchesTheReferenceWithCopiesMadeByTheReceiver) {
  Config config = cuda_config();
  config.expert_copies = ExpertCopies::kByReceiver;
  run(GetParam().workload, test::exchange_once, config, GetParam().tokens_of);
}

TEST_P(CudaDispatchCombine, MatchesTheReferenceWithoutCacheHints) {
  Config config = cuda_config();
  config.cache_hints = false;
  run(GetParam().workload, test::exchange_once, config, GetParam().tokens_of);
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         CudaDispatchCombine,
                         ::testing::ValuesIn(test::cases()),
                         [](const auto& each) { return each.param.name; });

using LayoutAndCase = std::tuple<Layout, test::OperationCase>;
class CudaOperations : public OnGpu<LayoutAndCase> {};

TEST_P(CudaOperations, Work) {
  run(test::float_workload(std::get<Layout>(GetParam())),
      std::get<test::OperationCase>(GetParam()).body);
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         CudaOperations,
                         ::testing::Combine(::testing::ValuesIn(test::kAllLayouts),
                                            ::testing::ValuesIn(test::operation_cases())),
                         [](const auto& each) {
                           return test::case_name(std::get<1>(each.param), std::get<0>(each.param));
                         });

class CudaRefusals : public OnGpu<test::RankBody> {};

TEST_P(CudaRefusals, NameGotAndWanted) {
  run(test::refusal_workload(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Requests,
                         CudaRefusals,
                         ::testing::Values(test::expect_bad_dispatches_refused,
                                           test::expect_bad_combines_refused));

class CudaFailures : public OnGpu<Layout> {
 protected:
  static Workload pair() {
    Workload workload = test::float_workload(GetParam());
    workload.num_ranks = 2;
    return workload;
  }
};

TEST_P(CudaFailures, AnEntryThatIsNoExpertIsNamedOnItsRankAlone) {
  run(pair(), [](const RankContext& context) {
    bench::RankRouting routing = context.inputs.routing();
    routing.topk_idx[5] = 99;
    DispatchRequest request = context.inputs.request();
    if (context.rank == 0) {
      request.topk_idx.data = routing.topk_idx.data();
    }
    request.x = context.memory.given(request.x);
    request.topk_idx = context.memory.given(request.topk_idx);
    request.topk_weights = context.memory.given(request.topk_weights);
    if (context.rank == 0) {
      EXPECT_EQ(text_of<InvalidArgument>([&] { (void)context.buffer.dispatch(request); }),
                "topk_idx[1][1]: got 99, wanted an expert in [0, 16) or -1 for none");
    } else {
      EXPECT_NO_THROW((void)context.buffer.dispatch(request));
    }
    test::exchange_once(context);
  });
}

TEST_P(CudaFailures, RanksThatDisagreeAreToldInWhat) {
  run(pair(), [](const RankContext& context) {
    DispatchRequest request = context.request();
    request.layout = context.rank == 0 ? Layout::kRankMajor : Layout::kExpertMajor;
    request.max_tokens = 0;
    EXPECT_THAT(text_of<ConfigMismatch>([&] { (void)context.buffer.dispatch(request); }),
                HasSubstr("layout"));
    test::exchange_once(context);
  });
}

TEST_P(CudaFailures, ARankThatStaysAwayIsNamedAndTheGpuGoesOn) {
  Config config = cuda_config();
  config.timeout = std::chrono::milliseconds(200);
  run(
      pair(),
      [](const RankContext& context) {
        if (context.rank == 0) {
          EXPECT_THAT(text_of<Timeout>([&] { (void)context.buffer.dispatch(context.request()); }),
                      HasSubstr("rank 1 made no progress"));
          EXPECT_THROW((void)context.buffer.issue(context.request()), Timeout);
        }
        const float value = 1.0F;
        const TensorView copy = context.memory.given({&value, DType::kFp32, {1}});
        EXPECT_EQ(*static_cast<const float*>(context.memory.seen(copy).data), value);
      },
      config);
}

TEST_P(CudaFailures, RanksThatDoNotFitTheirGpuTogetherAreRefused) {
  test::run_gpu_threads(2, [](Bootstrap& bootstrap) {
    Group group(borrow(bootstrap));
    Config config = cuda_config();
    config.num_sms = 256;
    EXPECT_THAT(text_of<InvalidArgument>([&] { const Buffer buffer(group, config); }),
                AllOf(HasSubstr("num_sms"), HasSubstr("512 in all")));
  });
}

INSTANTIATE_TEST_SUITE_P(Layouts,
                         CudaFailures,
                         ::testing::ValuesIn(test::kAllLayouts),
                         [](const auto& each) {
                           return std::to_string(static_cast<int>(each.param));
                         });

TEST(CudaBuffer, SaysWhatIsMissingWhereThereIsNoGpu) {
  if (test::num_gpus() != 0) {
    GTEST_SKIP() << "there is a GPU";
  }
  test::run_gpu_threads(1, [](Bootstrap& bootstrap) {
    Group group(borrow(bootstrap));
    EXPECT_THAT(text_of<SystemError>([&] { const Buffer buffer(group, cuda_config()); }),
                AllOf(HasSubstr("Config::target: got cuda"), HasSubstr("nvidia-smi")));
  });
}

}  // namespace
}  // namespace switchyard
