#include "benchmarks/cli/case_samples.h"

#include <gmock/gmock.h>

#include <string>
#include <thread>
#include <vector>

#include "benchmarks/cli/rank_channel.h"
#include "switchyard/bootstrap.h"

namespace switchyard::bench {
namespace {

TimedRuns runs(std::int64_t begin_us, std::int64_t end_us) {
  return {.begin_ns = {begin_us * 1000}, .end_ns = {end_us * 1000}};
}

OpSamples op_samples(std::int64_t end_us) {
  return {.own = runs(0, end_us),
          .roof_streaming = runs(0, end_us / 2),
          .roof_memcpy = runs(0, end_us),
          .peak_bytes = static_cast<std::uint64_t>(end_us),
          .rows_checked = 5};
}

CasePlan make_plan() {
  CasePlan plan;
  plan.workload.num_ranks = 2;
  plan.workload.tokens = 16;
  plan.dispatch = {.payload = 2'000'000, .wire = 1'000'000, .logical = 2'200'000};
  plan.combine = {.payload = 4'000'000, .wire = 3'000'000, .logical = 4'000'000};
  return plan;
}

std::vector<CaseSamples> make_samples() {
  return {{.dispatch = op_samples(50), .combine = op_samples(200), .num_workers = 3},
          {.dispatch = op_samples(100), .combine = op_samples(100), .num_workers = 1}};
}

TEST(CaseSamples, ComputesRatesPerRankWhenTheSlowestRankSetsTheTime) {
  const std::vector<OpResult> results = results_of(make_plan(), make_samples());
  ASSERT_EQ(results.size(), 2U);
  const OpResult& dispatch = results[0];
  EXPECT_EQ(dispatch.op, "dispatch");
  EXPECT_EQ(dispatch.layout, "rank-major");
  EXPECT_DOUBLE_EQ(dispatch.time_us.median, 100);
  EXPECT_DOUBLE_EQ(dispatch.payload_bytes, 1e6);
  EXPECT_DOUBLE_EQ(dispatch.payload_gbps, 10);  // 1 MB in 100 us
  EXPECT_DOUBLE_EQ(dispatch.wire_gbps, 5);
  EXPECT_DOUBLE_EQ(dispatch.logical_gbps, 11);
  EXPECT_DOUBLE_EQ(dispatch.roof_us, 50);
  EXPECT_DOUBLE_EQ(dispatch.roof_gbps, 20);
  EXPECT_DOUBLE_EQ(dispatch.roof_share, 0.5);
  EXPECT_EQ(dispatch.peak_bytes, 100U);
  EXPECT_EQ(dispatch.rows_checked, 10);
  EXPECT_EQ(dispatch.num_workers, 3);
  EXPECT_TRUE(dispatch.verified);
  EXPECT_EQ(results[1].op, "combine");
  EXPECT_DOUBLE_EQ(results[1].payload_gbps, 10);  // 2 MB in 200 us
}

TEST(CaseSamples, IsNotVerifiedWhenAnyRankSawAWrongByte) {
  std::vector<CaseSamples> samples = make_samples();
  samples[1].combine.first_mismatch = "rank 1 row 3";
  const std::vector<OpResult> results = results_of(make_plan(), samples);
  EXPECT_TRUE(results[0].verified);
  EXPECT_FALSE(results[1].verified);
  EXPECT_EQ(results[1].first_mismatch, "rank 1 row 3");
}

TEST(CaseSamples, SurvivesWhenSentAsJson) {
  CaseSamples samples = make_samples()[0];
  samples.combine.first_mismatch = "x";
  const CaseSamples copy = case_samples_from_json(to_json(samples));
  EXPECT_EQ(to_json(copy), to_json(samples));
  EXPECT_EQ(copy.dispatch.own.end_ns, samples.dispatch.own.end_ns);
  EXPECT_EQ(copy.combine.first_mismatch, "x");
}

TEST(CaseSamples, CountsEveryIterationWhenARunIsAppended) {
  std::vector<CaseSamples> samples = make_samples();
  std::vector<CaseSamples> more = make_samples();
  more[1].dispatch = op_samples(300);
  more[0].combine.first_mismatch = "rank 0 row 1";
  append(samples[0], more[0]);
  append(samples[1], more[1]);
  const std::vector<OpResult> results = results_of(make_plan(), samples);
  EXPECT_EQ(results[0].num_iterations, 2);
  EXPECT_DOUBLE_EQ(results[0].time_us.median, 200);  // of 100 and 300
  EXPECT_DOUBLE_EQ(results[0].roof_us, 100);         // of 50 and 150
  EXPECT_EQ(results[0].peak_bytes, 300U);
  EXPECT_EQ(results[0].rows_checked, 20);
  EXPECT_TRUE(results[0].verified);
  EXPECT_EQ(results[1].first_mismatch, "rank 0 row 1");
}

TEST(CaseSamplesThreads, BringsEveryDocumentToEveryRankWhenTheirLengthsDiffer) {
  std::vector<std::unique_ptr<Bootstrap>> bootstraps = make_in_process_bootstraps(3);
  std::vector<std::vector<nlohmann::json>> gathered(3);
  std::vector<std::thread> ranks;
  for (std::size_t rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([&, rank] {
      gathered[rank] = gather_json(*bootstraps[rank], {{"text", std::string(rank * 10, 'x')}});
    });
  }
  for (std::thread& rank : ranks) {
    rank.join();
  }
  for (const std::vector<nlohmann::json>& all : gathered) {
    ASSERT_EQ(all.size(), 3U);
    for (std::size_t rank = 0; rank < 3; ++rank) {
      EXPECT_EQ(all[rank].at("text"), std::string(rank * 10, 'x'));
    }
  }
}

std::string failure_line(int rank, ErrorCode code) {
  const nlohmann::json message = {
      {"failure", "why"}, {"rank", rank}, {"code", static_cast<int>(code)}};
  return message.dump();
}

TEST(RankMessages, PrefersTheCauseWhenOthersReportItsConsequences) {
  RankMessages messages([](double, const std::string&) {});
  EXPECT_FALSE(messages.failure().has_value());
  messages.take(failure_line(0, ErrorCode::kPeerLost));
  messages.take(failure_line(3, ErrorCode::kHeapTooSmall));
  messages.take(failure_line(1, ErrorCode::kTimeout));
  ASSERT_TRUE(messages.failure().has_value());
  EXPECT_EQ(messages.failure()->rank, 3);
}

TEST(RankMessages, TakesTheFirstWhenAllAreConsequences) {
  RankMessages messages([](double, const std::string&) {});
  messages.take(failure_line(2, ErrorCode::kTimeout));
  messages.take(failure_line(1, ErrorCode::kPeerLost));
  ASSERT_TRUE(messages.failure().has_value());
  EXPECT_EQ(messages.failure()->rank, 2);
}

TEST(RankMessages, ThrowsWhenALineIsNoMessage) {
  RankMessages messages([](double, const std::string&) {});
  EXPECT_THROW(messages.take("hello"), Error);
  EXPECT_THROW(messages.take("{\"other\": 1}"), Error);
}

}  // namespace
}  // namespace switchyard::bench
