// The file that `switchyard bench --trace` writes, held against the Trace Event Format and against
// what a run must contain.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/program.h"
#include "tests/support/running_program.h"
#include "tests/support/torchrun_ranks.h"

namespace switchyard::bench {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

class BenchTrace : public ::testing::Test {
 protected:
  BenchTrace() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "switchyard_trace_XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~BenchTrace() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path() const { return (folder_ / "trace.json").string(); }

  [[nodiscard]] static std::vector<std::string> command(const std::string& arguments) {
    std::vector<std::string> argv{SY_CLI_PATH, "bench"};
    std::istringstream words("--hidden 256 --tokens 24 --experts 16 --topk 4 --warmup 1 " +
                             arguments);
    for (std::string word; words >> word;) {
      argv.push_back(word);
    }
    return argv;
  }
  [[nodiscard]] static ProgramResult run(const std::string& arguments) {
    return run_program(command(arguments), "");
  }

  [[nodiscard]] json read() const { return json::parse(std::ifstream(path())); }

 private:
  std::filesystem::path folder_;
};

struct Slice {
  double begin;
  double end;
  std::string category;
};

/// Slices of one track either lie within one another or apart.
void expect_nested(std::vector<Slice> slices, const std::string& where) {
  std::stable_sort(slices.begin(), slices.end(), [](const Slice& a, const Slice& b) {
    return a.begin < b.begin || (a.begin == b.begin && a.end > b.end);
  });
  constexpr double kRounding = 0.0011;  // us: times are whole nanoseconds
  std::vector<Slice> open;
  for (const Slice& slice : slices) {
    while (!open.empty() && open.back().end <= slice.begin + kRounding) {
      open.pop_back();
    }
    if (!open.empty()) {
      EXPECT_LE(slice.end, open.back().end + kRounding) << where << " at " << slice.begin;
      EXPECT_EQ(open.back().category, "role") << where << ": steps and waits do not hold others";
    }
    open.push_back(slice);
  }
}

TEST_F(BenchTrace, HoldsEveryRankAndRoleOfEveryTimedOperation) {
  for (const char* ranks_as : {"processes", "threads"}) {
    const ProgramResult result = run("--iterations 3 --ranks 2 --workers 2 --channels 2 --trace " +
                                     path() + " --ranks-as " + ranks_as);
    ASSERT_EQ(result.exit_code, kExitOk) << result.error_output;
    const json document = read();
    std::map<std::pair<int, int>, std::string> names;
    std::map<std::pair<int, int>, int> operations;
    std::map<std::pair<int, int>, std::vector<Slice>> slices;
    for (const json& event : document.at("traceEvents")) {
      const std::pair<int, int> track{event.at("pid").get<int>(), event.at("tid").get<int>()};
      const std::string phase = event.at("ph");
      ASSERT_TRUE(phase == "M" || phase == "X") << event;
      EXPECT_TRUE(event.at("name").is_string());
      EXPECT_TRUE(event.at("args").is_object());
      if (event.at("name") == "thread_name") {
        names[track] = event.at("args").at("name");
      }
      if (phase == "X") {
        EXPECT_GE(event.at("ts").get<double>(), 0.0);
        EXPECT_GE(event.at("dur").get<double>(), 0.0);
        const double begin = event.at("ts");
        slices[track].push_back({begin, begin + event.at("dur").get<double>(), event.at("cat")});
        operations[track] += event.at("cat") == "role" ? 1 : 0;
      }
    }
    std::set<std::pair<int, std::string>> tracks;
    for (const auto& [track, name] : names) {
      tracks.emplace(track.first, name);
      EXPECT_EQ(operations[track], 3) << name << ": the timed iterations";
      expect_nested(slices[track], name);
    }
    for (int rank = 0; rank < 2; ++rank) {
      EXPECT_TRUE(tracks.contains({rank, "channel 0 count exchange"}));
      EXPECT_TRUE(tracks.contains({rank, "channel 0 combine announce"}));
      for (const char* role : {"scale-up send", "scale-up receive", "combine accumulate"}) {
        EXPECT_TRUE(tracks.contains({rank, std::string("channel 0 ") + role}));
        EXPECT_TRUE(tracks.contains({rank, std::string("channel 1 ") + role}));
      }
    }
    EXPECT_EQ(tracks.size(), 2U * 8);
    EXPECT_EQ(document.at("otherData").at("traces").size(), 2U);
  }
}

TEST_F(BenchTrace, EndsWithWhereTheSlowestOperationsSpentTheirTime) {
  const ProgramResult result = run("--iterations 3 --layout rank-major,padded --trace " + path());
  ASSERT_EQ(result.exit_code, kExitOk) << result.error_output;
  for (const char* line : {"rank-major, 24 tokens: dispatch ",
                           "rank-major, 24 tokens: combine ",
                           "padded, 24 tokens: dispatch ",
                           "the slowest of 3 traced",
                           "Last to end: rank "}) {
    EXPECT_THAT(result.output, HasSubstr(line));
  }
}

TEST_F(BenchTrace, SaysHowMuchWasLostWhenTheRingIsSmall) {
  const ProgramResult result = run("--iterations 20 --trace-events 8 --trace " + path());
  ASSERT_EQ(result.exit_code, kExitOk) << result.error_output;
  const json document = read();
  for (const json& trace : document.at("otherData").at("traces")) {
    EXPECT_EQ(trace.at("events"), 8);
    EXPECT_GT(trace.at("lost").get<int>(), 100);
  }
}

TEST_F(BenchTrace, SaysWhoWasStuckAndOnWhomWhenARankStops) {
  const std::string errors = path() + ".errors";
  const pid_t pid = test::start_program({SY_CLI_PATH,
                                         "bench",
                                         "--ranks",
                                         "2",
                                         "--hidden",
                                         "256",
                                         "--tokens",
                                         "24",
                                         "--iterations",
                                         "1000000",
                                         "--timeout",
                                         "0.3",
                                         "--trace",
                                         path()},
                                        errors);
  const std::vector<pid_t> ranks = test::wait_for_children(pid, 2);
  ASSERT_EQ(ranks.size(), 2U);
  ::kill(ranks[1], SIGSTOP);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), kExitFailed);
  const std::string text{std::istreambuf_iterator<char>(std::ifstream(errors).rdbuf()), {}};
  // Where the rank was stopped is left to chance: in an operation, or between two of them.
  if (text.find("came to the start of the next operation") == std::string::npos) {
    EXPECT_THAT(text,
                AllOf(HasSubstr("rank 1 made no progress"), HasSubstr("It did not end; stuck")));
    const json document = read();
    EXPECT_EQ(document.at("otherData").at("traces").size(), 1U) << "of the rank that still ran";
  }
}

TEST_F(BenchTrace, HoldsEveryRankThatTorchrunStartedInOneFileOfRankZero) {
  constexpr int kNumRanks = 4;
  const std::vector<std::string> outputs =
      test::run_under_torchrun(kNumRanks, command("--iterations 3 --trace " + path()));
  EXPECT_THAT(outputs[0], HasSubstr("rank-major, 24 tokens: dispatch "));
  EXPECT_EQ(outputs[1] + outputs[2] + outputs[3], "") << "rank 0 alone reports";
  const json document = read();
  std::map<int, int> operations;
  for (const json& event : document.at("traceEvents")) {
    operations[event.at("pid").get<int>()] += event.value("cat", "") == "role" ? 1 : 0;
  }
  ASSERT_EQ(operations.size(), std::size_t{kNumRanks});
  for (int rank = 0; rank < kNumRanks; ++rank) {
    EXPECT_GT(operations[rank], 0);
    EXPECT_EQ(operations[rank], operations[0]) << "rank " << rank;
  }
  EXPECT_EQ(document.at("otherData").at("traces").size(), std::size_t{kNumRanks});
}

TEST_F(BenchTrace, IsNotWrittenWhenTheFolderIsMissing) {
  const ProgramResult result = run("--trace /no/such/trace.json");
  EXPECT_EQ(result.exit_code, kExitBadArguments);
  EXPECT_THAT(result.error_output, HasSubstr("trace: cannot write"));
}

}  // namespace
}  // namespace switchyard::bench
