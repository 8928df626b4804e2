// The command as one rank of a launcher that is not ours: Open MPI's mpirun.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/program.h"
#include "benchmarks/cli/versus_mpi.h"
#include "tests/support/temp_dir.h"
#include "tests/support/torchrun_ranks.h"

namespace switchyard::bench {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class UnderMpirun : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!run_program({"mpirun", "--version"}, "").ok()) {
      GTEST_SKIP() << "there is no mpirun";
    }
  }

  /// `port` is left out when it is 0.
  static ProgramResult run(int port, const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = mpirun_command(2);
    if (port != 0) {
      argv.insert(argv.end(), {"-x", "SWITCHYARD_PORT=" + std::to_string(port)});
    }
    argv.insert(argv.end(),
                {"-x", "SWITCHYARD_SECRET=a secret of this test", SY_CLI_PATH, "bench"});
    argv.insert(argv.end(),
                {"--hidden", "256", "--tokens", "24", "--experts", "16", "--topk", "4"});
    argv.insert(argv.end(), {"--iterations", "3", "--warmup", "1"});
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return run_program(argv, "");
  }
};

TEST_F(UnderMpirun, MeasuresAmongTheRanksThatItStarted) {
  const test::TempDir dir;
  const std::string json = dir.file("out.json");
  const ProgramResult result = run(test::free_port(), {"--json", json});
  ASSERT_TRUE(result.ok()) << result.error_output;
  EXPECT_THAT(result.output, AllOf(HasSubstr("2 ranks under mpirun"), HasSubstr("correct;")));
  const nlohmann::json report = nlohmann::json::parse(std::ifstream(json));
  EXPECT_EQ(report.at("config").at("ranks_as"), "mpirun");
}

TEST_F(UnderMpirun, SaysWhatToSetWhenNobodyNamedAPort) {
  const ProgramResult result = run(0, {});
  EXPECT_FALSE(result.ok());
  EXPECT_THAT(result.error_output,
              HasSubstr("set SWITCHYARD_PORT to a free port of rank 0's machine"));
}

}  // namespace
}  // namespace switchyard::bench
