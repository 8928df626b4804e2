#include "benchmarks/cli/crew.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace switchyard::bench {
namespace {

TEST(CrewThreads, RunsEveryShareOnceWhenItWorksAgainAndAgain) {
  for (const int num_threads : {1, 2, 5}) {
    Crew crew(num_threads);
    std::vector<std::atomic<int>> runs(static_cast<std::size_t>(num_threads));
    for (int round = 1; round <= 50; ++round) {
      crew.run([&](int share, int num_shares) {
        EXPECT_EQ(num_shares, num_threads);
        ++runs[static_cast<std::size_t>(share)];
      });
      for (const std::atomic<int>& count : runs) {
        ASSERT_EQ(count.load(), round);
      }
    }
  }
}

TEST(CrewThreads, CountsTheCallerAsOneWhenNoThreadIsAsked) {
  int shares = 0;
  Crew crew(0);
  crew.run([&](int, int num_shares) { shares += num_shares; });
  EXPECT_EQ(shares, 1);
}

}  // namespace
}  // namespace switchyard::bench
