// The rivals of --versus mpi as the command runs them: real MPI jobs, every byte checked.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>
#include <xtensor/xnpy.hpp>
#include <xtensor/xtensor.hpp>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/program.h"
#include "benchmarks/cli/versus_mpi.h"
#include "tests/support/temp_dir.h"

namespace switchyard::bench {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kSmall = "--hidden 256 --experts 16 --topk 4 --iterations 2 --warmup 1";

void add_words(std::vector<std::string>& argv, const std::string& text) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    argv.push_back(word);
  }
}

// Built beside the command.
std::string rival_path() {
  const std::string cli = SY_CLI_PATH;
  return cli.substr(0, cli.rfind('/') + 1) + "switchyard-mpi-bench";
}

bool have_rivals() {
  return ::access(rival_path().c_str(), X_OK) == 0 && run_program({"mpirun", "--version"}, "").ok();
}

ProgramResult run_rival(const std::string& arguments) {
  std::vector<std::string> argv = mpirun_command(4);
  argv.push_back(rival_path());
  add_words(argv, kSmall);
  add_words(argv, arguments);
  return run_program(argv, "");
}

ProgramResult versus_mpi(const std::string& arguments) {
  std::vector<std::string> argv{SY_CLI_PATH, "bench", "--versus", "mpi"};
  add_words(argv, kSmall);
  add_words(argv, arguments);
  return run_program(argv, "");
}

class MpiRivals : public ::testing::TestWithParam<MpiRival> {
 protected:
  void SetUp() override {
    if (!have_rivals()) {
      GTEST_SKIP() << "this build has no " << rival_path() << ", or the machine no mpirun";
    }
  }

  static void expect_right(const std::string& arguments, int tokens = 24) {
    const std::string all =
        fmt::format("{} --plan {} --tokens {}", arguments, GetParam().plan, tokens);
    const ProgramResult result = run_rival(all);
    ASSERT_EQ(result.exit_code, kExitOk) << all << "\n" << result.error_output;
    const nlohmann::json document = nlohmann::json::parse(result.output);
    EXPECT_EQ(document.at("plan"), GetParam().plan) << all;
    EXPECT_TRUE(document.at("verified").get<bool>()) << all;
    EXPECT_EQ(document.at("dispatch_us").size(), 2U) << all;
    EXPECT_EQ(document.at("combine_us").size(), 2U) << all;
  }
};

TEST_P(MpiRivals, AreRightInEveryByteWhenLayoutsAndTypesVary) {
  expect_right("--layout rank-major");
  expect_right("--layout expert-major --expert-alignment 8 --dtype fp32");
  expect_right("--layout expert-major --expert-alignment 8 --zero-padding true --ranks 4");
  expect_right("--layout padded --max-tokens 32 --dtype fp16");
  expect_right("--layout rank-major --quantize fp8-ue8m0");
  expect_right("--layout expert-major --quantize fp8-fp32");
  expect_right("--layout padded --dtype fp8 --scales ue8m0");
}

TEST_P(MpiRivals, AreRightInEveryByteWhenTokensNameAnExpertTwiceOrNone) {
  const test::TempDir dir;
  const std::string path = dir.file("trace.npy");
  // Twice the same expert, apart and in a row; a rank met again after another; none at all.
  xt::dump_npy(path,
               xt::xtensor<std::int32_t, 2>{{5, 0, 5, 13},
                                            {2, 2, 2, 2},
                                            {15, 4, 14, 5},
                                            {-1, 7, -1, 7},
                                            {-1, -1, -1, -1},
                                            {0, 1, 2, 3},
                                            {8, 4, 0, 8}});
  for (const char* layout : {"rank-major", "expert-major", "padded"}) {
    expect_right(fmt::format("--layout {} --routing file:{}", layout, path));
    expect_right(fmt::format("--layout {} --routing masked", layout));
  }
}

TEST_P(MpiRivals, AreRightInEveryByteWhenThereAreNoTokens) {
  for (const char* layout : {"rank-major", "expert-major"}) {
    expect_right(fmt::format("--layout {}", layout), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Plans, MpiRivals, ::testing::ValuesIn(kMpiRivals), [](const auto& param) {
  return std::string(param.param.plan);
});

TEST(VersusMpi, SaysWhatIsKnownWhenThePlanIsNot) {
  if (!have_rivals()) {
    GTEST_SKIP() << "this build has no " << rival_path() << ", or the machine no mpirun";
  }
  const ProgramResult result = run_program({rival_path(), "--plan", "ring"}, "");
  EXPECT_EQ(result.exit_code, kExitBadArguments);
  EXPECT_THAT(result.error_output,
              AllOf(HasSubstr("ring"), HasSubstr("plain"), HasSubstr("dedup")));
}

TEST(VersusMpi, NamesTheSignalWhenMpirunIsKilled) {
  if (!have_rivals()) {
    GTEST_SKIP() << "this build has no " << rival_path() << ", or the machine no mpirun";
  }
  const test::TempDir dir;
  std::ofstream script(dir.file("mpirun"));
  script << "#!/bin/sh\n[ \"$1\" = --version ] || kill -9 $$\n";
  script.close();
  std::filesystem::permissions(dir.file("mpirun"), std::filesystem::perms::owner_all);
  const ProgramResult result =
      run_program({"sh",
                   "-c",
                   fmt::format("PATH=$(dirname {}):$PATH exec {} bench --versus mpi --tokens 8 {}",
                               dir.file("mpirun"),
                               SY_CLI_PATH,
                               kSmall)},
                  "");
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_THAT(result.error_output, HasSubstr("was killed by signal 9"));
}

TEST(VersusMpi, ReportsBothRivalsWhenTheyAreAsked) {
  const test::TempDir dir;
  const ProgramResult result =
      versus_mpi("--tokens 24 --layout padded,rank-major --json " + dir.file("out.json"));
  if (!have_rivals()) {
    EXPECT_EQ(result.exit_code, kExitBadArguments);
    EXPECT_THAT(result.error_output, AllOf(HasSubstr("mpi"), HasSubstr("install")));
    return;
  }
  ASSERT_EQ(result.exit_code, kExitOk) << result.error_output;
  EXPECT_THAT(result.error_output, IsEmpty());
  EXPECT_THAT(result.output, AllOf(HasSubstr("correct;"), HasSubstr("mpi_dedup")));
  std::ifstream file(dir.file("out.json"));
  const nlohmann::json document = nlohmann::json::parse(file);
  ASSERT_EQ(document.at("results").size(), 4U);
  for (const auto& measured : document.at("results")) {
    EXPECT_EQ(measured.at("iterations"), 2);
    const double own_us = measured.at("median_us").get<double>();
    for (const MpiRival& rival : kMpiRivals) {
      const double rival_us = measured.at(std::string(rival.name) + "_median_us").get<double>();
      EXPECT_GT(rival_us, 0.0);
      EXPECT_DOUBLE_EQ(measured.at("speedup_vs").at(rival.name).get<double>(), rival_us / own_us);
    }
  }
}

}  // namespace
}  // namespace switchyard::bench
