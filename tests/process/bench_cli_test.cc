// The command as a user runs it: real processes, real files, real signals.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/program.h"
#include "tests/support/running_program.h"
#include "tests/support/temp_dir.h"
#include "tests/support/torchrun_ranks.h"

namespace switchyard::bench {
namespace {

using test::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr const char* kSmall =
    "--hidden 256 --tokens 24 --experts 16 --topk 4 --iterations 3 --warmup 1";

std::vector<std::string> command(const std::string& arguments) {
  std::vector<std::string> argv{SY_CLI_PATH, "bench"};
  std::istringstream words(arguments);
  for (std::string word; words >> word;) {
    argv.push_back(word);
  }
  return argv;
}

ProgramResult bench(const std::string& arguments) {
  return run_program(command(arguments), "");
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Names of heaps in /dev/shm, whoever made them.
std::set<std::string> heap_names() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (const std::string name = entry.path().filename().string();
        name.rfind("switchyard-", 0) == 0) {
      names.insert(name);
    }
  }
  return names;
}

// Tests beside this one have heaps of their own for a moment; what is left behind stays.
void expect_no_heap_left(const std::set<std::string>& before) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  for (;;) {
    std::set<std::string> left;
    for (const std::string& name : heap_names()) {
      if (before.count(name) == 0) {
        left.insert(name);
      }
    }
    if (left.empty() || std::chrono::steady_clock::now() > deadline) {
      EXPECT_THAT(left, IsEmpty());
      return;
    }
    std::this_thread::sleep_for(50ms);
  }
}

void expect_ok(const std::string& arguments) {
  const ProgramResult result = bench(arguments);
  EXPECT_EQ(result.exit_code, kExitOk) << arguments << "\n" << result.error_output;
  EXPECT_THAT(result.output, HasSubstr("correct;")) << arguments;
  EXPECT_THAT(result.error_output, IsEmpty()) << arguments;
}

TEST(BenchCli, ChecksEveryByteWhenLayoutsTypesAndRoutingsVary) {
  const std::string small = kSmall;
  expect_ok(small + " --layout rank-major,expert-major,padded");
  expect_ok(
      small +
      " --dtype fp16 --layout expert-major --expert-alignment 8 --zero-padding --routing zipf:1.2");
  expect_ok(small + " --dtype fp32 --routing masked --layout padded --max-tokens 32");
  expect_ok(small + " --dtype fp8 --scales fp32 --routing grouped:8,4 --layout expert-major");
  expect_ok(small + " --dtype fp8 --scales ue8m0 --layout rank-major");
  expect_ok(small + " --quantize fp8-fp32 --layout padded");
  expect_ok(small + " --quantize fp8-ue8m0 --layout padded --ranks 2");
  expect_ok(small + " --layout expert-major --expert-copies receiver --workers 2 --channels 3");
}

TEST(BenchCli, ChecksEveryByteWhenRanksAreThreads) {
  expect_ok(std::string(kSmall) + " --ranks-as threads --layout rank-major,expert-major,padded");
  expect_ok(std::string(kSmall) + " --ranks-as threads --ranks 1");
}

TEST(BenchCli, RunsWhenOneRankOrManyAreAsked) {
  expect_ok(std::string(kSmall) + " --ranks 1");
  expect_ok(std::string(kSmall) + " --ranks 16");
  expect_ok("--hidden 256 --tokens 0 --experts 16 --topk 4 --iterations 1 --warmup 1");
}

TEST(BenchCli, WritesFilesThatParseWhenTheyAreAsked) {
  const TempDir dir;
  const ProgramResult result = bench(std::string(kSmall) + " --layout rank-major,padded --json " +
                                     dir.file("out.json") + " --csv " + dir.file("out.csv"));
  ASSERT_EQ(result.exit_code, kExitOk) << result.error_output;
  const nlohmann::json document = nlohmann::json::parse(read_file(dir.file("out.json")));
  for (const char* key : {"commit", "hardware", "command", "config", "routing", "results"}) {
    EXPECT_TRUE(document.contains(key)) << key;
  }
  EXPECT_EQ(document.at("config").at("iterations"), 3);
  ASSERT_EQ(document.at("results").size(), 4U);
  for (const auto& measured : document.at("results")) {
    EXPECT_TRUE(measured.at("verified").get<bool>());
    EXPECT_GT(measured.at("median_us").get<double>(), 0.0);
    EXPECT_LE(measured.at("p10_us").get<double>(), measured.at("median_us").get<double>());
    EXPECT_LE(measured.at("median_us").get<double>(), measured.at("p90_us").get<double>());
    EXPECT_LE(measured.at("p90_us").get<double>(), measured.at("max_us").get<double>());
    EXPECT_GT(measured.at("roof_share").get<double>(), 0.0);
    EXPECT_GT(measured.at("peak_bytes").get<double>(), 24 * 256 * 2);
    EXPECT_LT(measured.at("wire_gbps").get<double>(), measured.at("logical_gbps").get<double>());
    EXPECT_LE(measured.at("payload_gbps").get<double>(), measured.at("logical_gbps").get<double>());
  }
  const std::string csv = read_file(dir.file("out.csv"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5);
}

TEST(BenchCli, ReadsARecordedTraceWhenRoutingNamesAFile) {
  const TempDir dir;
  std::ofstream npy(dir.file("trace.npy"), std::ios::binary);
  std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (6, 4), }";

  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  header += '\n';
  npy << "\x93NUMPY" << '\x01' << '\0' << static_cast<char>(header.size() & 0xff)
      << static_cast<char>(header.size() >> 8U) << header;
  for (int entry = 0; entry < 24; ++entry) {
    const std::int32_t expert = entry % 16;
    npy.write(reinterpret_cast<const char*>(&expert), sizeof(expert));
  }
  npy.close();
  expect_ok(std::string(kSmall) + " --routing file:" + dir.file("trace.npy"));
  const ProgramResult missing =
      bench(std::string(kSmall) + " --routing file:" + dir.file("no.npy"));
  EXPECT_EQ(missing.exit_code, kExitBadArguments);
  EXPECT_THAT(missing.error_output, HasSubstr("no.npy"));
}

TEST(BenchCli, DrawsAPictureWhenAPlotIsAsked) {
  const TempDir dir;
  if (!run_program({"gnuplot", "--version"}, "").ok()) {
    const ProgramResult result = bench("--plot " + dir.file("out.svg"));
    EXPECT_EQ(result.exit_code, kExitBadArguments);
    EXPECT_THAT(result.error_output, AllOf(HasSubstr("gnuplot"), HasSubstr("install")));
    return;
  }
  const ProgramResult result = bench(
      "--hidden 256 --experts 16 --topk 4 --iterations 3 --tokens 8 --plot " + dir.file("out.svg"));
  ASSERT_EQ(result.exit_code, kExitOk) << result.error_output;
  EXPECT_THAT(read_file(dir.file("out.svg")),
              AllOf(HasSubstr("<svg"), HasSubstr("combine copy roof")));
}

TEST(BenchCli, LeavesWithTwoWhenArgumentsAreWrong) {
  const TempDir dir;
  for (const std::string wrong :
       {"--preset llama", "--experts 10", "--target cuda", "--json /no/such/x.json", "--tokens"}) {
    const ProgramResult result = bench(wrong);
    EXPECT_EQ(result.exit_code, kExitBadArguments) << wrong;
    EXPECT_THAT(result.output, IsEmpty()) << wrong;
    EXPECT_THAT(result.error_output, HasSubstr("\n")) << wrong;
  }
  const ProgramResult huge = bench(
      "--ranks 4096 --experts 4096 --tokens 100000 --routing uniform --topk 1 --hidden 1048576");
  EXPECT_EQ(huge.exit_code, kExitBadArguments);
  EXPECT_THAT(huge.error_output,
              AllOf(HasSubstr("memory"), HasSubstr("GiB"), HasSubstr("--tokens")));
}

TEST(BenchCli, SaysWhatIsNeededWhenTheHeapIsTooSmall) {
  const ProgramResult result = bench("--hidden 7168 --tokens 512 --heap-bytes 2MiB --iterations 1");
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_THAT(result.error_output, AllOf(HasSubstr("rank"), HasSubstr("--heap-bytes")));
  const ProgramResult tiny = bench(std::string(kSmall) + " --heap-bytes 8KiB");
  EXPECT_EQ(tiny.exit_code, kExitBadArguments);
  EXPECT_THAT(tiny.error_output, HasSubstr("--heap-bytes: got 8192"));
}

TEST(BenchCli, FailsWhenTheTableCannotBeWritten) {
  const ProgramResult result = run_program(
      {"sh", "-c", std::string(SY_CLI_PATH) + " bench " + kSmall + " --ranks 2 > /dev/full"}, "");
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_THAT(result.error_output, HasSubstr("cannot write the table to the standard output"));
}

// A run that goes on until it is ended from outside.
class LongRun {
 public:
  LongRun()
      : pid_(test::start_program(command("--hidden 1024 --tokens 64 --iterations 1000000"),
                                 "/dev/null")) {}
  LongRun(const LongRun&) = delete;
  LongRun& operator=(const LongRun&) = delete;
  ~LongRun() {
    if (!ended_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }

  [[nodiscard]] pid_t pid() const { return pid_; }

  // The rank processes, once all four move tokens for a while.
  [[nodiscard]] std::vector<pid_t> wait_for_ranks() const {
    return test::wait_for_children(pid_, 4);
  }

  int wait_for_end() {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    ended_ = true;
    EXPECT_TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
  }

 private:
  pid_t pid_;
  bool ended_ = false;
};

void expect_all_gone(const std::vector<pid_t>& ranks) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  for (const pid_t rank : ranks) {
    while (::kill(rank, 0) == 0 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(10ms);
    }
    EXPECT_NE(::kill(rank, 0), 0) << rank;
  }
}

TEST(BenchCli, EndsPromptlyAndLeavesNothingWhenInterrupted) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::set<std::string> before = heap_names();
    LongRun run;
    const std::vector<pid_t> ranks = run.wait_for_ranks();
    ASSERT_EQ(ranks.size(), 4U);
    const auto asked = std::chrono::steady_clock::now();
    ::kill(run.pid(), signal);
    EXPECT_EQ(run.wait_for_end(), kExitInterrupted);
    EXPECT_LT(std::chrono::steady_clock::now() - asked, 10s);
    expect_all_gone(ranks);
    expect_no_heap_left(before);
  }
}

TEST(BenchCli, FailsAndLeavesNothingWhenARankIsKilled) {
  const std::set<std::string> before = heap_names();
  LongRun run;
  const std::vector<pid_t> ranks = run.wait_for_ranks();
  ASSERT_EQ(ranks.size(), 4U);
  ::kill(ranks[2], SIGKILL);
  EXPECT_EQ(run.wait_for_end(), kExitFailed);
  expect_all_gone(ranks);
  expect_no_heap_left(before);
}

TEST(BenchCli, TakesItsRanksAlongWhenItIsKilledItself) {
  LongRun run;
  const std::vector<pid_t> ranks = run.wait_for_ranks();
  ASSERT_EQ(ranks.size(), 4U);
  ::kill(run.pid(), SIGKILL);
  expect_all_gone(ranks);
}

TEST(BenchCli, RunsAsOneRankWhenTorchrunStartedIt) {
  const std::vector<std::string> outputs = test::run_under_torchrun(2, command(kSmall));
  EXPECT_THAT(outputs[0], AllOf(HasSubstr("2 ranks under torchrun"), HasSubstr("correct;")));
  EXPECT_THAT(outputs[1], IsEmpty());
}

}  // namespace
}  // namespace switchyard::bench
