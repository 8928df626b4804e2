#include "benchmarks/cli/statistics.h"

#include <gtest/gtest.h>

#include <vector>

#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

TEST(Statistics, FindsOrderStatisticsWhenSamplesAreUnordered) {
  const Summary summary = summarize({50, 10, 40, 20, 30, 60, 100, 80, 70, 90, 0});
  EXPECT_DOUBLE_EQ(summary.median, 50);
  EXPECT_DOUBLE_EQ(summary.p10, 10);
  EXPECT_DOUBLE_EQ(summary.p90, 90);
  EXPECT_DOUBLE_EQ(summary.max, 100);
}

TEST(Statistics, InterpolatesWhenAQuantileLiesBetweenSamples) {
  EXPECT_DOUBLE_EQ(quantile({1, 2}, 0.5), 1.5);
  EXPECT_DOUBLE_EQ(quantile({0, 10, 20, 30}, 0.9), 27);
}

TEST(Statistics, TakesTheOnlySampleForAllWhenThereIsOne) {
  const Summary summary = summarize({7});
  EXPECT_DOUBLE_EQ(summary.median, 7);
  EXPECT_DOUBLE_EQ(summary.p10, 7);
  EXPECT_DOUBLE_EQ(summary.p90, 7);
  EXPECT_DOUBLE_EQ(summary.max, 7);
}

TEST(Statistics, CountsFromTheFirstBeginningToTheLastEndWhenRanksTakeTurns) {
  // Iteration 0: one after the other on one core. Iteration 1: side by side.
  EXPECT_EQ(iteration_times_us({{.begin_ns = {0, 10'000}, .end_ns = {4'000, 15'000}},
                                {.begin_ns = {4'000, 10'500}, .end_ns = {9'000, 13'000}}}),
            (std::vector<double>{9, 5}));
}

TEST(Statistics, ThrowsWhenThereIsNothingToJudge) {
  EXPECT_THROW(summarize({}), InvalidArgument);
  EXPECT_THROW(quantile({1}, 1.5), InvalidArgument);
  EXPECT_THROW(iteration_times_us({}), InvalidArgument);
  EXPECT_THROW(iteration_times_us(
                   {{.begin_ns = {1, 2}, .end_ns = {2, 3}}, {.begin_ns = {1}, .end_ns = {2}}}),
               InvalidArgument);
}

}  // namespace
}  // namespace switchyard::bench
