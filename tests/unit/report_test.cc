#include "benchmarks/cli/report.h"

#include <gmock/gmock.h>

#include <sstream>
#include <string>
#include <vector>

#include "benchmarks/cli/bench_command.h"
#include "benchmarks/cli/plot.h"
#include "benchmarks/cli/progress.h"
#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

OpResult make_result(const std::string& op, int tokens) {
  return {.op = op,
          .layout = "rank-major",
          .tokens = tokens,
          .num_iterations = 20,
          .time_us = {.median = 100, .p10 = 90, .p90 = 120, .max = 150},
          .payload_bytes = 1e6 * tokens,
          .payload_gbps = 10,
          .wire_gbps = 7.5,
          .logical_gbps = 10.25,
          .roof_us = 80,
          .roof_gbps = 12.5,
          .roof_share = 0.8,
          .peak_bytes = std::uint64_t{3} << 20U,
          .rows_checked = 4000,
          .verified = true};
}

Report make_report() {
  Report report{.version = "1.2.3",
                .commit = "abcdef-dirty",
                .machine = {.cpu = "Model X",
                            .cores = 2,
                            .memory_bytes = std::uint64_t{8} << 30U,
                            .simd = "AVX-512"},
                .command = "switchyard bench",
                .ranks_per_token = {3.6},
                .results = {make_result("dispatch", 1024), make_result("combine", 1024)}};
  report.options.layouts = {Layout::kRankMajor};
  report.options.tokens = {1024};
  return report;
}

Report make_sweep() {
  Report report = make_report();
  report.options.tokens = {1, 2};
  report.results = {make_result("dispatch", 1),
                    make_result("combine", 1),
                    make_result("dispatch", 2),
                    make_result("combine", 2)};
  return report;
}

TEST(Report, HasEveryKeyOfTheSchemaWhenWrittenAsJson) {
  const nlohmann::ordered_json json = to_json(make_report());
  for (const char* key : {"commit", "hardware", "command", "config", "routing", "results"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  const auto& result = json.at("results").at(0);
  for (const char* key : {"op",
                          "layout",
                          "median_us",
                          "p10_us",
                          "p90_us",
                          "max_us",
                          "payload_gbps",
                          "wire_gbps",
                          "logical_gbps",
                          "roof_share",
                          "roof_gbps",
                          "peak_bytes",
                          "verified",
                          "speedup_vs"}) {
    EXPECT_TRUE(result.contains(key)) << key;
  }
  EXPECT_EQ(json.at("results").size(), 2U);
  EXPECT_EQ(result.at("op"), "dispatch");
  EXPECT_EQ(result.at("median_us"), 100);
  EXPECT_EQ(result.at("verified"), true);
  EXPECT_TRUE(result.at("speedup_vs").empty());
}

TEST(Report, GivesTheSpeedupsInEveryFormWhenRivalsWereMeasured) {
  Report report = make_report();
  report.results[0].rivals = {{"mpi", 250}, {"mpi_dedup", 150}};
  const nlohmann::ordered_json result = to_json(report).at("results").at(0);
  EXPECT_DOUBLE_EQ(result.at("speedup_vs").at("mpi").get<double>(), 2.5);
  EXPECT_DOUBLE_EQ(result.at("speedup_vs").at("mpi_dedup").get<double>(), 1.5);
  EXPECT_DOUBLE_EQ(result.at("mpi_median_us").get<double>(), 250);
  EXPECT_DOUBLE_EQ(result.at("mpi_dedup_median_us").get<double>(), 150);
  EXPECT_THAT(to_table(report),
              AllOf(HasSubstr("times faster than"),
                    HasSubstr("mpi mpi_dedup\n"),
                    HasSubstr("2.50x     1.50x\n"),
                    HasSubstr("-         -\n")));
  EXPECT_THAT(to_csv(report),
              AllOf(HasSubstr(",speedup_vs_mpi,speedup_vs_mpi_dedup\n"),
                    HasSubstr(",2.500,1.500\n"),
                    HasSubstr("true,,\n")));
}

TEST(Report, SaysUnitsRoutingAndDataWhenPrintedForPeople) {
  const std::string table = to_table(make_report());
  for (const char* part : {"us",
                           "GB/s",
                           "MiB",
                           "uniform",
                           "correct",
                           "Model X, 2 cores",
                           "abcdef-dirty",
                           "80 %",
                           "3.60 ranks",
                           "together",
                           "40.00"}) {
    EXPECT_THAT(table, HasSubstr(part));
  }
  EXPECT_THAT(table, Not(HasSubstr("mpi")));
}

TEST(Report, FailsLoudlyWhenAByteWasWrong) {
  Report report = make_report();
  EXPECT_EQ(exit_code_of(report), kExitOk);
  report.results[1].verified = false;
  report.results[1].first_mismatch = "rank 1 row 17: got 3, wanted 4";
  EXPECT_EQ(exit_code_of(report), kExitFailed);
  EXPECT_THAT(to_table(report), HasSubstr("WRONG"));
  EXPECT_THAT(to_table(report), HasSubstr("rank 1 row 17"));
  EXPECT_EQ(to_json(report).at("results").at(1).at("verified"), false);
  EXPECT_THAT(to_csv(report), HasSubstr("false"));
}

TEST(Report, HasAsManyFieldsAsHeadingsWhenWrittenAsCsv) {
  std::istringstream lines(to_csv(make_report()));
  std::string heading;
  std::string first;
  std::getline(lines, heading);
  std::getline(lines, first);
  EXPECT_EQ(std::count(heading.begin(), heading.end(), ','),
            std::count(first.begin(), first.end(), ','));
}

TEST(Report, QuotesTheRoutingWhenItsFileNameHoldsCommas) {
  Report report = make_report();
  report.options.workload.routing = "file:a,\"b\".npy";
  EXPECT_THAT(to_csv(report), HasSubstr("\"file:a,\"\"b\"\".npy\""));
}

TEST(Report, ThrowsWithThePathWhenAFileCannotBeWritten) {
  try {
    write_file("/no/such/folder/x.json", "{}");
    FAIL() << "nothing was thrown";
  } catch (const SystemError& error) {
    EXPECT_THAT(error.what(), HasSubstr("/no/such/folder/x.json"));
  }
  EXPECT_THROW(write_file("/dev/full", std::string(100, 'x')), SystemError);
}

TEST(Plot, DrawsEveryOperationAndRoofWhenItSweeps) {
  const std::string script = plot_script(make_sweep(), "out.svg");
  for (const char* part : {"'dispatch'",
                           "'dispatch copy roof'",
                           "'combine'",
                           "'combine copy roof'",
                           "logscale x",
                           "xlabel",
                           "ylabel",
                           "1000000.0 10.00000",
                           "2000000.0 12.50000"}) {
    EXPECT_THAT(script, HasSubstr(part));
  }
  EXPECT_THAT(script, Not(HasSubstr("MPI")));
}

TEST(Plot, DrawsTheRivalsWhenTheyWereMeasured) {
  Report report = make_sweep();
  report.results[0].rivals = {{"mpi", 250}, {"mpi_dedup", 200}};
  EXPECT_THAT(plot_script(report, "out.svg"),
              AllOf(HasSubstr("'dispatch through MPI'"),
                    HasSubstr("1000000.0 4.00000"),
                    HasSubstr("'dispatch through MPI, deduplicated'"),
                    HasSubstr("1000000.0 5.00000")));
}

TEST(Plot, EscapesWhatAUserTypedWhenItStandsInTheScript) {
  Report report = make_sweep();
  report.options.workload.routing = "file:it's.npy";
  const std::string script = plot_script(report, "o'ut.svg");
  EXPECT_THAT(script, HasSubstr("'o''ut.svg'"));
  EXPECT_THAT(script, HasSubstr("file:it''s.npy"));
}

TEST(Progress, ShowsShareAndTimeLeftWhenHalfIsDone) {
  EXPECT_EQ(render_progress(0.5, std::chrono::seconds(10), "padded", 10),
            "[#####-----]  50 % padded, 10 s left");
  EXPECT_EQ(render_progress(0.0, std::chrono::seconds(1), "x", 4), "[----]   0 % x");
  EXPECT_EQ(render_progress(7.0, std::chrono::seconds(1), "x", 4), "[####] 100 % x");
}

}  // namespace
}  // namespace switchyard::bench
