#include "benchmarks/cli/bench_options.h"

#include <gmock/gmock.h>

#include <sstream>
#include <string>
#include <vector>

namespace switchyard::bench {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ParsedCommandLine parse(const std::string& line, const Surroundings& surroundings = {}) {
  std::istringstream words("bench " + line);
  std::vector<std::string> args;
  for (std::string word; words >> word;) {
    args.push_back(word);
  }
  return parse_command_line(args, surroundings);
}

BenchOptions options_of(const std::string& line) {
  const ParsedCommandLine parsed = parse(line);
  EXPECT_TRUE(parsed.options.has_value()) << parsed.message;
  return parsed.options.value_or(BenchOptions{});
}

void expect_refused(const std::string& line, const ::testing::Matcher<std::string>& message) {
  const ParsedCommandLine parsed = parse(line);
  EXPECT_FALSE(parsed.options.has_value()) << line;
  EXPECT_EQ(parsed.exit_code, kExitBadArguments) << line;
  EXPECT_THAT(parsed.message, message) << line;
}

TEST(BenchOptions, MeasuresAShortTrainingRunWhenNothingIsAsked) {
  const BenchOptions options = options_of("");
  EXPECT_EQ(options.workload.preset, "deepseek-v3-train");
  EXPECT_EQ(options.workload.hidden, 7168);
  EXPECT_EQ(options.workload.num_ranks, 4);
  EXPECT_THAT(options.tokens, ElementsAre(1024));
  EXPECT_THAT(options.layouts, ElementsAre(Layout::kRankMajor));
  EXPECT_EQ(options.ranks_as, RanksAs::kProcesses);
  EXPECT_FALSE(options.is_sweep());
}

TEST(BenchOptions, TakesThePresetsShapeWhenAPresetIsNamed) {
  const BenchOptions options = options_of("--preset deepseek-v3-decode");
  EXPECT_THAT(options.tokens, ElementsAre(128));
  EXPECT_THAT(options.layouts, ElementsAre(Layout::kPadded));
}

TEST(BenchOptions, PrefersWhatIsGivenWhenThePresetSaysOtherwise) {
  const BenchOptions options = options_of(
      "--preset mixtral --tokens 7 --hidden 256 --topk 3 --experts 16 --dtype fp16 --ranks 8");
  EXPECT_EQ(options.workload.tokens, 7);
  EXPECT_EQ(options.workload.hidden, 256);
  EXPECT_EQ(options.workload.topk, 3);
  EXPECT_EQ(options.workload.num_experts, 16);
  EXPECT_EQ(options.workload.dtype, DType::kFp16);
  EXPECT_EQ(options.workload.num_ranks, 8);
}

TEST(BenchOptions, CallsTheShapeCustomWhenItIsNoPresets) {
  EXPECT_EQ(options_of("--hidden 256").workload.preset, "custom");
}

TEST(BenchOptions, MeasuresSeveralLayoutsWhenTheyAreSeparatedByCommas) {
  EXPECT_THAT(options_of("--layout padded,rank-major").layouts,
              ElementsAre(Layout::kPadded, Layout::kRankMajor));
  expect_refused("--layout padded,padded", HasSubstr("twice"));
}

TEST(BenchOptions, DoublesTheTokensWhenItSweeps) {
  EXPECT_THAT(options_of("--sweep --tokens 6").tokens, ElementsAre(1, 2, 4, 6));
  EXPECT_THAT(options_of("--sweep --tokens 8").tokens, ElementsAre(1, 2, 4, 8));
  EXPECT_EQ(options_of("--sweep").tokens.back(), 4096);
}

TEST(BenchOptions, SweepsWhenAPlotIsWanted) {
  EXPECT_TRUE(options_of("--plot out.svg").is_sweep());
}

TEST(BenchOptions, ReadsSizesWithUnitsWhenTheHeapIsGiven) {
  EXPECT_EQ(options_of("--heap-bytes 64MiB").heap_bytes, std::uint64_t{64} << 20U);
}

TEST(BenchOptions, TakesTheRanksFromTorchrunWhenItRunsUnderIt) {
  const Surroundings torchrun{.under_torchrun = true, .world_size = 2};
  const ParsedCommandLine parsed = parse("", torchrun);
  ASSERT_TRUE(parsed.options.has_value()) << parsed.message;
  EXPECT_EQ(parsed.options->ranks_as, RanksAs::kTorchrun);
  EXPECT_EQ(parsed.options->workload.num_ranks, 2);
  EXPECT_THAT(parse("--ranks 4", torchrun).message,
              AllOf(HasSubstr("got 4"), HasSubstr("WORLD_SIZE 2")));
}

TEST(BenchOptions, SaysGotAndWantedWhenAValueIsWrong) {
  expect_refused("--preset llama",
                 AllOf(HasSubstr("llama"), HasSubstr("deepseek-v3-train"), HasSubstr("mixtral")));
  expect_refused("--dtype int4", AllOf(HasSubstr("int4"), HasSubstr("bf16")));
  expect_refused("--layout columns", AllOf(HasSubstr("columns"), HasSubstr("expert-major")));
  expect_refused("--experts 10",
                 AllOf(HasSubstr("experts"), HasSubstr("10"), HasSubstr("4 ranks")));
  expect_refused("--hidden 7", AllOf(HasSubstr("hidden"), HasSubstr("16")));
  expect_refused("--topk 33", AllOf(HasSubstr("topk"), HasSubstr("33"), HasSubstr("32")));
  expect_refused("--tokens 999999999", AllOf(HasSubstr("tokens"), HasSubstr("999999999")));
  expect_refused("--warmup 0", AllOf(HasSubstr("warmup"), HasSubstr("got 0")));
  expect_refused("--workers 65", AllOf(HasSubstr("workers"), HasSubstr("64")));
  expect_refused("--timeout 0", AllOf(HasSubstr("timeout"), HasSubstr("0.001")));
  expect_refused("--ranks-as fibers", AllOf(HasSubstr("fibers"), HasSubstr("threads")));
  expect_refused("--expert-copies both", AllOf(HasSubstr("both"), HasSubstr("receiver")));
  expect_refused("--versus nccl", AllOf(HasSubstr("nccl"), HasSubstr("mpi")));
  expect_refused("--sweep --tokens 1", HasSubstr("sweep"));
  expect_refused("--tokens many", HasSubstr("many"));
  expect_refused("--no-verify", HasSubstr("--no-verify"));
}

TEST(BenchOptions, SaysWhatThisBuildHasWhenTheTargetIsAnother) {
  for (const char* target : {"cuda", "sim"}) {
    expect_refused(std::string("--target ") + target, AllOf(HasSubstr(target), HasSubstr("host")));
  }
}

TEST(BenchOptions, RefusesAnOutputWhenItCannotBeWritten) {
  expect_refused("--json /no/such/folder/out.json",
                 AllOf(HasSubstr("json"), HasSubstr("/no/such/folder")));
  expect_refused("--csv /", AllOf(HasSubstr("csv"), HasSubstr("directory")));
  expect_refused("--plot /no/such/folder/out.svg", HasSubstr("plot"));
}

TEST(BenchOptions, ExplainsItselfWhenHelpIsAsked) {
  const ParsedCommandLine parsed = parse("--help");
  EXPECT_FALSE(parsed.options.has_value());
  EXPECT_EQ(parsed.exit_code, kExitOk);
  for (const char* word :
       {"--preset", "deepseek-v3-train", "zipf", "payload", "wire", "logical", "Exit codes"}) {
    EXPECT_THAT(parsed.message, HasSubstr(word));
  }
}

TEST(BenchOptions, PrintsTheVersionWhenAsked) {
  const ParsedCommandLine parsed = parse_command_line({"--version"}, {});
  EXPECT_EQ(parsed.exit_code, kExitOk);
  EXPECT_THAT(parsed.message, HasSubstr("switchyard 0."));
}

TEST(BenchOptions, AsksForASubcommandWhenNoneIsGiven) {
  const ParsedCommandLine parsed = parse_command_line({}, {});
  EXPECT_EQ(parsed.exit_code, kExitBadArguments);
  EXPECT_THAT(parsed.message, HasSubstr("bench"));
}

}  // namespace
}  // namespace switchyard::bench
