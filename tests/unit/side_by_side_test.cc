#include "benchmarks/cli/side_by_side.h"

#include <gtest/gtest.h>

namespace switchyard::bench {
namespace {

TEST(SideBySide, HasNoRoundWithoutIterationsWhenFewAreAsked) {
  BenchOptions options;
  EXPECT_EQ(num_rounds(options), kMostRounds);  // as many iterations as fit
  options.iterations = 100;
  EXPECT_EQ(num_rounds(options), kMostRounds);
  options.iterations = 3;
  EXPECT_EQ(num_rounds(options), 3);
  options.tokens = {1, 2};
  options.iterations = 100;
  EXPECT_EQ(num_rounds(options), kMostSweepRounds);
  options.ranks_as = RanksAs::kLaunched;
  EXPECT_EQ(num_rounds(options), 1);
}

TEST(SideBySide, DealsEveryIterationOnceWhenRoundsDoNotDivideThem) {
  for (int total = 1; total < 20; ++total) {
    for (int rounds = 1; rounds <= total; ++rounds) {
      int dealt = 0;
      for (int round = 0; round < rounds; ++round) {
        const int share = share_of_round(total, round, rounds);
        EXPECT_GE(share, 1);
        dealt += share;
      }
      EXPECT_EQ(dealt, total);
    }
  }
}

}  // namespace
}  // namespace switchyard::bench
