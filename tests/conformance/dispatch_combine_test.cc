// Dispatch and combine as frameworks use them, on groups of threads, judged byte by byte by the
// benchmark's independent reference: layouts, element types, shapes, empties, skews, handles,
// overlap.
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/exchange_cases.h"

namespace switchyard {
namespace {

using bench::Workload;
using test::RankContext;

void exchange(const Workload& workload,
              const Config& config,
              const std::vector<int>& tokens_of = {}) {
  test::run_group(
      workload, test::route_all(workload, tokens_of), config, [](const RankContext& context) {
        for (int round = 0; round < 3; ++round) {
          test::exchange_once(context);
        }
      });
}

class DispatchCombine : public ::testing::TestWithParam<test::Case> {};

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
                         ::testing::ValuesIn(test::cases()),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace switchyard
