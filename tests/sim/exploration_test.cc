// Every interleaving of steps and every moment at which a store may become visible, in worlds small
// enough for it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "benchmarks/sim/explore.h"
#include "benchmarks/sim/simulate.h"
#include "tests/support/seeds.h"

namespace switchyard::test {
namespace {

class ExplorationTest : public testing::TestWithParam<sim::NamedWorld> {};

TEST_P(ExplorationTest, FindsNothingInAnyOrder) {
  if (kSanitized) {
    GTEST_SKIP() << "explored in the builds without a sanitizer";
  }
  const bool is_small = GetParam().world.num_ranks == 2 && GetParam().world.num_channels == 1;
  for (const bool keep_blocked : {false, true}) {
    if (keep_blocked && !is_small) {
      break;
    }
    const sim::ExploreOptions options{.keep_blocked = keep_blocked};
    sim::Explorer explorer(sim::small_plan(GetParam().world), options);
    const sim::Exploration found = explorer.explore();
    fmt::print("  {:42} {:>9} states {:>9} steps {:>6} ends{}\n",
               GetParam().name,
               found.num_states,
               found.num_steps,
               found.num_ends,
               keep_blocked ? ", blocked steps gone on with" : "");
    EXPECT_EQ(found.problem, "") << "replay: " << GetParam().command_line(options);
    EXPECT_TRUE(found.complete) << "replay: " << GetParam().command_line(options);
  }
}

/// Where a function of csrc/protocol calls an ordered operation.
std::string site_of(const std::string& function, sim::Ordering ordering) {
  sim::SiteLog log;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    (void)sim::simulate({}, seed, &log);
  }
  for (const auto& [site, use] : log.uses()) {
    if (use.function == function && use.ordering == ordering) {
      return site;
    }
  }
  return "";
}

TEST(ExplorationControl, FindsTheRunThatGoesWrongWhenOneOperationOrdersNothing) {
  const struct {
    const char* function;
    sim::Ordering ordering;
    sim::SmallWorld world;
  } broken[] = {
      {"RowSender::publish", sim::Ordering::kRelease, {}},
      {"ScaleUpReceive::await_counts", sim::Ordering::kAcquire, {}},
      {"ScaleUpSend::await_placement", sim::Ordering::kAcquire, {}},
      {"MailboxCollector::read",
       sim::Ordering::kAcquire,
       {.combines = true, .expert_rows = sim::ExpertRows::kPrivate}},
      {"CombineCopyIn::copy_chunk",
       sim::Ordering::kAddRelease,
       {.combines = true, .expert_rows = sim::ExpertRows::kPrivate}},
  };
  for (const auto& each : broken) {
    const std::string site = site_of(each.function, each.ordering);
    ASSERT_NE(site, "") << each.function;
    sim::Explorer explorer(sim::small_plan(each.world), {.weaken = site});
    EXPECT_NE(explorer.explore().problem, "") << each.function << " at " << site;
  }
}

/// "dispatch-two-channels" as DispatchTwoChannels.
std::string test_name(const testing::TestParamInfo<sim::NamedWorld>& each) {
  std::string name;
  bool starts_word = true;
  for (const char c : each.param.name) {
    if (c != '-') {
      name += starts_word ? static_cast<char>(std::toupper(c)) : c;
    }
    starts_word = c == '-';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Exploration,
                         ExplorationTest,
                         testing::ValuesIn(sim::small_worlds().begin(), sim::small_worlds().end()),
                         test_name);

}  // namespace
}  // namespace switchyard::test
