// `switchyard sim`: what it takes, what it refuses, and the timeline that it writes.
#include "benchmarks/cli/sim_command.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

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
                                             {"--nodes", "0"},
                                             {"--runs", "0"},
                                             {"--runs", "many"},
                                             {"--tokens", "70000"},
                                             {"--plan", "none"},
                                             {"--lose", "dead:1"},
                                             {"--lose", "asleep:1:2"},
                                             {"--explore", "everything"},
                                             {"--network", "lose"},
                                             {"--track", "1000"},
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
    if (use.function == "RowSender::publish") {
      bench::SimArguments arguments;
      arguments.runs = 50;
      arguments.options.weaken = site;
      EXPECT_EQ(bench::run_sim(bench::check_sim_arguments(arguments)), bench::kExitFailed);
      return;
    }
  }
  FAIL() << "no run publishes rows";
}

/// Where a function of csrc/protocol releases or acquires.
std::string site_in(const std::string& function) {
  sim::SiteLog log;
  (void)sim::simulate({}, 1, &log);
  for (const auto& [site, use] : log.uses()) {
    if (use.function == function) {
      return site;
    }
  }
  ADD_FAILURE() << "no run comes to " << function;
  return "";
}

/// The line that a failure prints, run as a user would: it must fail with the very same words.
void expect_replays(const std::string& problem) {
  const std::string mark = "replay: switchyard ";
  const std::size_t at = problem.rfind(mark);
  ASSERT_NE(at, std::string::npos) << problem;
  std::istringstream line(problem.substr(at + mark.size()));
  const std::vector<std::string> words{std::istream_iterator<std::string>(line), {}};
  const bench::ParsedCommandLine parsed = parse(words);
  ASSERT_TRUE(parsed.sim) << parsed.message;
  testing::internal::CaptureStdout();
  const int exit_code = bench::run_sim(*parsed.sim);
  const std::string printed = testing::internal::GetCapturedStdout();
  EXPECT_EQ(exit_code, bench::kExitFailed) << printed;
  EXPECT_NE(printed.find(problem), std::string::npos) << printed << "wanted:\n" << problem;
}

/// What the first of 100 seeds says that goes wrong.
std::string first_problem(const sim::SimOptions& options) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const sim::SimReport report = sim::simulate(options, seed);
    if (!report.ok) {
      return report.problem;
    }
  }
  return "none of 100 seeds goes wrong";
}

TEST(SimCommand, ReplaysAFailureOfSeededRunsByItsLine) {
  expect_replays(first_problem({.weaken = site_in("RowSender::publish")}));
  expect_replays(first_problem({.kind = sim::PlanKind::kWithdrawals,
                                .limits = {.min_in_flight = 2, .max_in_flight = 3},
                                .faults = sim::FaultOptions::parse("all:0.1"),
                                .weaken = site_in("MailboxWriter::post")}));
}

TEST(SimCommand, ReplaysAFailureWithALossAtAChosenTurnByItsLine) {
  expect_replays(first_problem({.limits = {.max_channels = 1, .max_operations = 3},
                                .lose = sim::ChosenLoss{sim::FaultPlan::Loss::kDead, 1, 40},
                                .weaken = site_in("RowSender::publish")}));
}

TEST(SimCommand, ReplaysAFailureOfATrackByItsLine) {
  const sim::TrackOptions options{.num_slots = 2,
                                  .network = {.duplicate = 0.3, .takes_duplicates = 0.5}};
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const sim::TrackReport report = sim::run_track(options, seed);
    if (report.end == sim::TrackEnd::kWrong) {
      expect_replays(report.problem);
      return;
    }
  }
  FAIL() << "none of 100 seeds goes wrong";
}

TEST(SimCommand, ReplaysAFailureOfAnExplorationByItsLine) {
  const sim::NamedWorld& world = sim::small_world("dispatch");
  const sim::ExploreOptions options{.weaken = site_in("RowSender::publish")};
  sim::Explorer explorer(sim::small_plan(world.world), options);
  const sim::Exploration found = explorer.explore();
  expect_replays(found.problem + "\nreplay: " + world.command_line(options) + "\n");
}

TEST(SimCommand, ExploresASmallWorldAndRunsATrack) {
  const auto explored = parse({"sim", "--explore", "dispatch", "--keep-blocked"});
  ASSERT_TRUE(explored.sim) << explored.message;
  EXPECT_EQ(bench::run_sim(*explored.sim), bench::kExitOk);
  const auto track = parse({"sim", "--track", "3", "--runs", "50", "--network", "lose:0.1"});
  ASSERT_TRUE(track.sim) << track.message;
  EXPECT_EQ(bench::run_sim(*track.sim), bench::kExitOk);
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
