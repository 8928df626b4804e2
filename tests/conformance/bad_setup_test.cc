// A caller's mistakes in setting up a group or a buffer: every rank gets an error with name, got
// and wanted, at once, whichever of them made it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

#include "tests/support/moe_group.h"
#include "tests/support/refusal.h"

namespace switchyard {
namespace {

using test::text_of;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

TEST(BadSetup, RanksThatDisagreeOnTheConfigurationAreToldInWhichField) {
  auto bootstraps = make_in_process_bootstraps(3);
  const auto errors = test::run_rank_threads(3, [&](int rank) {
    Group group(std::move(bootstraps[static_cast<std::size_t>(rank)]));
    Config config = test::test_config();
    config.max_in_flight = rank == 2 ? 3 : 4;
    const Buffer buffer(group, config);
  });
  for (const std::string& error : errors) {
    EXPECT_THAT(error, AllOf(HasSubstr("max_in_flight"), HasSubstr("has 3"), HasSubstr("has 4")));
  }
}

TEST(BadSetup, ConfigurationFieldsOutOfRangeAreNamed) {
  const auto refused = [](const std::function<void(Config&)>& spoil) {
    auto bootstraps = make_in_process_bootstraps(1);
    Group group(std::move(bootstraps[0]));
    Config config = test::test_config();
    spoil(config);
    return text_of<InvalidArgument>([&] { const Buffer buffer(group, config); });
  };
  EXPECT_THAT(refused([](Config& c) { c.max_in_flight = 0; }), HasSubstr("max_in_flight: got 0"));
  EXPECT_THAT(refused([](Config& c) { c.num_channels = 257; }), HasSubstr("num_channels: got 257"));
  EXPECT_THAT(refused([](Config& c) { c.heap_bytes = 8192; }), HasSubstr("control block"));
  EXPECT_THAT(refused([](Config& c) { c.heap_kind = static_cast<HeapKind>(9); }),
              AllOf(HasSubstr("heap_kind: got 9"), HasSubstr("kSharedMemory")));
  EXPECT_THAT(refused([](Config& c) { c.expert_copies = static_cast<ExpertCopies>(2); }),
              AllOf(HasSubstr("expert_copies: got 2"), HasSubstr("kByReceiver")));
  EXPECT_THAT(refused([](Config& c) { c.timeout = std::chrono::milliseconds(0); }),
              HasSubstr("timeout"));
}

TEST(BadSetup, TheCudaTargetIsRefusedWithWhatToDoWhereItCannotRun) {
  auto bootstraps = make_in_process_bootstraps(2);
  const auto errors = test::run_rank_threads(2, [&](int rank) {
    Group group(std::move(bootstraps[static_cast<std::size_t>(rank)]));
    Config config = test::test_config();
    config.target = Target::kCuda;
    const Buffer buffer(group, config);
  });
  if (errors[0].empty()) {
    GTEST_SKIP() << "this machine has a GPU";
  }
  for (const std::string& error : errors) {
    EXPECT_THAT(error,
                AllOf(HasSubstr("Config::target: got cuda"),
                      AnyOf(HasSubstr("SWITCHYARD_CUDA=ON"), HasSubstr("nvidia-smi"))));
  }
}

TEST(BadSetup, AFieldOutOfRangeOnOneRankIsToldToAllAtOnce) {
  auto bootstraps = make_in_process_bootstraps(2);
  const auto errors = test::run_rank_threads(2, [&](int rank) {
    Group group(std::move(bootstraps[static_cast<std::size_t>(rank)]));
    Config config = test::test_config();
    if (rank == 0) {
      config.timeout = std::chrono::milliseconds(0);
    }
    EXPECT_THAT(text_of<InvalidArgument>([&] { const Buffer buffer(group, config); }),
                HasSubstr("rank 0: Config::timeout [ms]: got 0, wanted 1"));
  });
  EXPECT_THAT(errors, ::testing::Each(""));
}

TEST(BadSetup, GroupOptionsWrongOnOneRankAreToldToAllAtOnce) {
  auto bootstraps = make_in_process_bootstraps(2);
  const auto errors = test::run_rank_threads(2, [&](int rank) {
    const GroupOptions options{.ranks_per_node = rank == 1 ? 3 : 0};
    EXPECT_THAT(text_of<InvalidArgument>([&] {
                  const Group group(std::move(bootstraps[static_cast<std::size_t>(rank)]), options);
                }),
                HasSubstr("rank 1: ranks_per_node: got 3"));
  });
  EXPECT_THAT(errors, ::testing::Each(""));
}

TEST(BadSetup, SeveralNodesAreRefusedUntilThereIsATransport) {
  auto bootstraps = make_in_process_bootstraps(2);
  const auto errors = test::run_rank_threads(2, [&](int rank) {
    Group group(std::move(bootstraps[static_cast<std::size_t>(rank)]), {.ranks_per_node = 1});
    const Buffer buffer(group, test::test_config());
  });
  EXPECT_THAT(errors[0], HasSubstr("2 nodes of 1 ranks"));
}

}  // namespace
}  // namespace switchyard
