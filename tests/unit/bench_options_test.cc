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

// The message with which the line is refused.
std::string refusal(const std::string& line) {
  const ParsedCommandLine parsed = parse(line);
  EXPECT_FALSE(parsed.options.has_value()) << line;
  EXPECT_EQ(parsed.exit_code, kExitBadArguments) << line;
  return parsed.message;
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
  EXPECT_THAT(refusal("--layout padded,padded"), HasSubstr("twice"));
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

TEST(BenchOptions, TakesTheRanksFromALauncherWhenItRunsUnderOne) {
  const Surroundings launched{.launched = bootstrap::LaunchedRank{
                                  .launcher = "srun", .size_variable = "TASKS", .num_ranks = 2}};
  const ParsedCommandLine parsed = parse("", launched);
  ASSERT_TRUE(parsed.options.has_value()) << parsed.message;
  EXPECT_EQ(parsed.options->ranks_as, RanksAs::kLaunched);
  EXPECT_EQ(ranks_as_name(*parsed.options), "srun");
  EXPECT_EQ(parsed.options->workload.num_ranks, 2);
  EXPECT_THAT(parse("--ranks 4", launched).message,
              AllOf(HasSubstr("got 4"), HasSubstr("srun's TASKS 2")));
  const Surroundings mpirun{.launched = bootstrap::LaunchedRank{
                                .launcher = "mpirun", .size_variable = "SIZE", .num_ranks = 2}};
  EXPECT_THAT(parse("--versus mpi", mpirun).message, HasSubstr("in a job of mpirun"));
}

TEST(BenchOptions, SaysGotAndWantedWhenAValueIsWrong) {
  EXPECT_THAT(refusal("--preset llama"),
              AllOf(HasSubstr("llama"), HasSubstr("deepseek-v3-train"), HasSubstr("mixtral")));
  EXPECT_THAT(refusal("--dtype int4"), AllOf(HasSubstr("int4"), HasSubstr("bf16")));
  EXPECT_THAT(refusal("--layout columns"), AllOf(HasSubstr("columns"), HasSubstr("expert-major")));
  EXPECT_THAT(refusal("--experts 10"),
              AllOf(HasSubstr("experts"), HasSubstr("10"), HasSubstr("4 ranks")));
  EXPECT_THAT(refusal("--hidden 7"), AllOf(HasSubstr("hidden"), HasSubstr("16")));
  EXPECT_THAT(refusal("--topk 33"), AllOf(HasSubstr("topk"), HasSubstr("33"), HasSubstr("32")));
  EXPECT_THAT(refusal("--tokens 999999999"), AllOf(HasSubstr("tokens"), HasSubstr("999999999")));
  EXPECT_THAT(refusal("--warmup 0"), AllOf(HasSubstr("warmup"), HasSubstr("got 0")));
  EXPECT_THAT(refusal("--workers 65"), AllOf(HasSubstr("workers"), HasSubstr("64")));
  EXPECT_THAT(refusal("--timeout 0"), AllOf(HasSubstr("timeout"), HasSubstr("0.001")));
  EXPECT_THAT(refusal("--ranks-as fibers"), AllOf(HasSubstr("fibers"), HasSubstr("threads")));
  EXPECT_THAT(refusal("--expert-copies both"), AllOf(HasSubstr("both"), HasSubstr("receiver")));
  EXPECT_THAT(refusal("--versus nccl"), AllOf(HasSubstr("nccl"), HasSubstr("mpi")));
  EXPECT_THAT(refusal("--sweep --tokens 1"), HasSubstr("sweep"));
  EXPECT_THAT(refusal("--tokens many"),
              AllOf(HasSubstr("tokens: got \"many\""), HasSubstr("wanted a whole number")));
  EXPECT_THAT(refusal("--expert-alignment 1e99"), HasSubstr("expert-alignment: got \"1e99\""));
  EXPECT_THAT(refusal("--heap-bytes 5big"),
              AllOf(HasSubstr("got --heap-bytes: big"), HasSubstr("256MiB")));
  EXPECT_THAT(refusal("--bind perhaps"), HasSubstr("wanted true or false"));
  EXPECT_THAT(refusal("--timeout soon"), HasSubstr("wanted a number of seconds"));
  EXPECT_THAT(refusal("--zero-padding --layout padded"),
              AllOf(HasSubstr("zero-padding"), HasSubstr("padded"), HasSubstr("expert-major")));
  EXPECT_THAT(refusal("--no-verify"), HasSubstr("--no-verify"));
}

TEST(BenchOptions, SaysWhatThisBuildHasWhenTheTargetIsAnother) {
  for (const char* target : {"gpu", "sim"}) {
    EXPECT_THAT(refusal(std::string("--target ") + target),
                AllOf(HasSubstr(target), HasSubstr("host")));
  }
}

TEST(BenchOptions, KeepsSomeEventsWhenATraceIsWanted) {
  EXPECT_EQ(options_of("").trace_events, 0);
  EXPECT_GT(options_of("--trace trace.json").trace_events, 1000);
  EXPECT_EQ(options_of("--trace trace.json --trace-events 77").trace_events, 77);
  EXPECT_EQ(options_of("--trace-events 77").trace_events, 77);
  EXPECT_THAT(refusal("--trace-events -1"), HasSubstr("trace-events: got -1"));
  EXPECT_THAT(refusal("--trace trace.json --versus mpi"), HasSubstr("trace: got one beside"));
}

TEST(BenchOptions, RefusesAnOutputWhenItCannotBeWritten) {
  EXPECT_THAT(refusal("--json /no/such/folder/out.json"),
              AllOf(HasSubstr("json"), HasSubstr("/no/such/folder")));
  EXPECT_THAT(refusal("--csv /"), AllOf(HasSubstr("csv"), HasSubstr("directory")));
  EXPECT_THAT(refusal("--plot /no/such/folder/out.svg"), HasSubstr("plot"));
}

TEST(BenchOptions, ExplainsItselfWhenHelpIsAsked) {
  const ParsedCommandLine parsed = parse("--help");
  EXPECT_FALSE(parsed.options.has_value());
  EXPECT_EQ(parsed.exit_code, kExitOk);
  for (const char* word : {"--preset",
                           "deepseek-v3-train",
                           "zipf",
                           "payload",
                           "wire",
                           "logical",
                           "mpi_dedup",
                           "Exit codes"}) {
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
