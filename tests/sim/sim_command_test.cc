// `switchyard sim`: what it takes, what it refuses, and the timeline that it writes.
#include "benchmarks/cli/sim_command.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "benchmarks/cli/bench_options.h"
#include "nlohmann/json.hpp"
#include "switchyard/error.h"

namespace switchyard::test {
namespace {

bench::ParsedCommandLine parse(const std::vector<std::string>& args) {
  return bench::parse_command_line(args, {});
}

TEST(SimCommand, TakesTheLineThatAFailurePrints) {
  const bench::ParsedCommandLine parsed = parse({"sim",
                                                 "--seed",
                                                 "17",
                                                 "--runs",
                                                 "1",
                                                 "--ranks",
                                                 "3",
                                                 "--tokens",
                                                 "4",
                                                 "--faults",
                                                 "dead:0.5,wrap:1"});
  ASSERT_TRUE(parsed.sim) << parsed.message;
  EXPECT_FALSE(parsed.options);
  EXPECT_EQ(parsed.sim->first_seed, 17U);
  EXPECT_EQ(bench::run_sim(*parsed.sim), bench::kExitOk);
}

TEST(SimCommand, RefusesWhatCannotBe) {
  for (const char* ranks : {"0", "4-2", "two", "2-65"}) {
    bench::SimArguments arguments;
    arguments.ranks = ranks;
    EXPECT_THROW(bench::check_sim_arguments(arguments), InvalidArgument) << ranks;
  }
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--channels", "0"},
                                             {"--nodes", "2"},
                                             {"--runs", "0"},
                                             {"--runs", "many"},
                                             {"--tokens", "70000"},
                                             {"--plan", "none"},
                                             {"--faults", "dead:2"}}) {
    const bench::ParsedCommandLine parsed = parse({"sim", wrong[0], wrong[1]});
    EXPECT_EQ(parsed.exit_code, bench::kExitBadArguments) << wrong[0];
    EXPECT_FALSE(parsed.sim) << wrong[0];
  }
}

TEST(SimCommand, SaysWhichCommandWasAskedWrongly) {
  EXPECT_EQ(parse({"sim", "--channels", "0"}).message.rfind("switchyard sim: channels: got 0", 0),
            0U);
  EXPECT_EQ(parse({"sim", "--runs", "many"}).message.rfind("switchyard sim: runs: got \"many\"", 0),
            0U);
}

TEST(SimCommand, FailsWhenAnOrderedOperationIsWeakened) {
  sim::SiteLog log;
  (void)sim::simulate({}, 1, &log);
  for (const auto& [site, use] : log.uses()) {
    if (use.function == "ScaleUpSend::publish") {
      bench::SimArguments arguments;
      arguments.runs = 50;
      arguments.options.weaken = site;
      EXPECT_EQ(bench::run_sim(bench::check_sim_arguments(arguments)), bench::kExitFailed);
      return;
    }
  }
  FAIL() << "no run publishes rows";
}

TEST(SimCommand, RefusesToWeakenWhatNoRunComesTo) {
  bench::SimArguments arguments;
  arguments.runs = 3;
  arguments.options.weaken = "mailbox.h:1";
  EXPECT_EQ(bench::run_sim(bench::check_sim_arguments(arguments)), bench::kExitBadArguments);
}

TEST(SimCommand, WritesATimelineOfEveryRankAndRole) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "sim_trace.json";
  bench::SimArguments arguments;
  arguments.runs = 1;
  arguments.ranks = "3";
  arguments.trace_path = path.string();
  ASSERT_EQ(bench::run_sim(bench::check_sim_arguments(arguments)), bench::kExitOk);
  const nlohmann::json trace = nlohmann::json::parse(std::ifstream(path));
  std::set<int> ranks;
  double last = 0;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") == "X") {
      ranks.insert(event.at("pid").get<int>());
      EXPECT_GE(event.at("ts").get<double>(), last);
      last = event.at("ts").get<double>();
    }
  }
  EXPECT_EQ(ranks, (std::set<int>{0, 1, 2}));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace switchyard::test
