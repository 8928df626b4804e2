// The modelled network under a producer and a consumer (benchmarks/sim/track_run.h).
#include "csrc/targets/sim/network.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "benchmarks/sim/track_run.h"
#include "tests/support/seeds.h"

namespace switchyard::test {
namespace {

using sim::TrackEnd;

/// One seed, on a track of one to four slots.
sim::TrackReport run(std::uint64_t seed, const sim::NetworkOptions& network) {
  return sim::run_track({.num_slots = 1 + static_cast<int>(seed % 4), .network = network}, seed);
}

void expect_all_right(const sim::NetworkOptions& network) {
  for_each_seed(2000, [&](std::uint64_t seed) {
    const sim::TrackReport report = run(seed, network);
    EXPECT_EQ(report.end, TrackEnd::kRight) << report.problem;
  });
}

TEST(Network, DeliversInOrderWhateverOverTakesWhatDownToOneSlot) {
  expect_all_right({});
}

TEST(Network, DropsWhatArrivesTwice) {
  expect_all_right({.duplicate = 0.3});
}

TEST(Network, StopsRatherThanBeWrongWhenAMessageIsLost) {
  int num_stopped = 0;
  for_each_seed(2000, [&](std::uint64_t seed) {
    const sim::TrackReport report = run(seed, {.lose = 0.05, .duplicate = 0.1});
    EXPECT_NE(report.end, TrackEnd::kWrong) << report.problem;
    num_stopped += report.end == TrackEnd::kStopped ? 1 : 0;
  });
  EXPECT_GT(num_stopped, 10);
}

/// Seeds, of 100, in which the consumer read something wrong.
int num_wrong(const sim::TrackOptions& options) {
  int count = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    count += sim::run_track(options, seed).end == TrackEnd::kWrong ? 1 : 0;
  }
  return count;
}

TEST(NetworkControl, IsNoticedWhenSignalsPassPuts) {
  EXPECT_GT(num_wrong({.num_slots = 4, .network = {.signals_pass_puts = 1}}), 10);
}

TEST(NetworkControl, IsNoticedWhenDuplicatesTakeEffect) {
  EXPECT_GT(num_wrong({.num_slots = 2, .network = {.duplicate = 0.3, .takes_duplicates = 1}}), 10);
}

}  // namespace
}  // namespace switchyard::test
