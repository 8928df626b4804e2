#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "switchyard/bootstrap.h"
#include "switchyard/error.h"

namespace switchyard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Torchrun's variables as it sets them; each test spoils one.
class TcpOptionsFromEnv : public ::testing::Test {
 protected:
  void SetUp() override {
    set("RANK", "3");
    set("WORLD_SIZE", "8");
    set("MASTER_ADDR", "node0");
    set("MASTER_PORT", "29500");
    set("SWITCHYARD_SECRET", "secret from the launcher");
    ::unsetenv("SWITCHYARD_PORT");
  }

  void TearDown() override { clear(); }

  static void clear() {
    for (const char* name : {"RANK",
                             "WORLD_SIZE",
                             "LOCAL_WORLD_SIZE",
                             "MASTER_ADDR",
                             "MASTER_PORT",
                             "SWITCHYARD_SECRET",
                             "SWITCHYARD_PORT",
                             "OMPI_COMM_WORLD_RANK",
                             "OMPI_COMM_WORLD_SIZE",
                             "OMPI_COMM_WORLD_LOCAL_SIZE",
                             "PMI_RANK",
                             "PMI_SIZE",
                             "MPI_LOCALNRANKS",
                             "SLURM_PROCID",
                             "SLURM_STEP_NUM_TASKS",
                             "SLURM_STEP_NUM_NODES",
                             "SLURM_NTASKS"}) {
      ::unsetenv(name);
    }
  }

  static void set(const char* name, const char* value) { ::setenv(name, value, 1); }

  static std::string error_when(const char* name, const char* value) {
    set(name, value);
    try {
      tcp_options_from_env();
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "accepted";
  }
};

TEST_F(TcpOptionsFromEnv, ReadsTorchrunsVariablesAndTakesTheNextPort) {
  const TcpBootstrapOptions options = tcp_options_from_env();
  EXPECT_EQ(options.rank, 3);
  EXPECT_EQ(options.num_ranks, 8);
  EXPECT_EQ(options.host, "node0");
  EXPECT_EQ(options.port, 29501);
  EXPECT_EQ(options.secret, "secret from the launcher");
  EXPECT_EQ(options.listener_fd, -1);
}

TEST_F(TcpOptionsFromEnv, TakesItsOwnPortWhenItIsGiven) {
  set("SWITCHYARD_PORT", "4000");
  ::unsetenv("MASTER_PORT");
  EXPECT_EQ(tcp_options_from_env().port, 4000);
}

TEST_F(TcpOptionsFromEnv, ReadsTheVariablesOfEveryLauncher) {
  struct Case {
    std::map<const char*, const char*> variables;
    const char* host;  // null: it must be given
  };
  const Case cases[] = {
      {{{"OMPI_COMM_WORLD_RANK", "1"},
        {"OMPI_COMM_WORLD_SIZE", "4"},
        {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}},
       "127.0.0.1"},
      {{{"OMPI_COMM_WORLD_RANK", "1"},
        {"OMPI_COMM_WORLD_SIZE", "4"},
        {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}},
       nullptr},
      {{{"PMI_RANK", "1"}, {"PMI_SIZE", "4"}, {"MPI_LOCALNRANKS", "4"}}, "127.0.0.1"},
      {{{"PMI_RANK", "1"}, {"PMI_SIZE", "4"}}, nullptr},
      {{{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_STEP_NUM_NODES", "1"}},
       "127.0.0.1"},
      {{{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_STEP_NUM_NODES", "2"}},
       nullptr},
  };
  for (const Case& each : cases) {
    clear();
    set("SWITCHYARD_PORT", "4000");
    set("SWITCHYARD_SECRET", "secret from the launcher");
    for (const auto& [name, value] : each.variables) {
      set(name, value);
    }
    if (each.host == nullptr) {
      EXPECT_THAT(error_when("MASTER_ADDR", ""), HasSubstr("MASTER_ADDR: not set"));
      set("MASTER_ADDR", "node0");
    }
    const TcpBootstrapOptions options = tcp_options_from_env();
    EXPECT_EQ(options.rank, 1);
    EXPECT_EQ(options.num_ranks, 4);
    EXPECT_EQ(options.host, each.host == nullptr ? "node0" : each.host);
  }
}

TEST_F(TcpOptionsFromEnv, TakesABatchScriptOfSlurmForNoRank) {
  clear();
  set("SLURM_PROCID", "0");
  set("SLURM_NTASKS", "4");
  set("SWITCHYARD_PORT", "4000");
  EXPECT_THAT(error_when("SWITCHYARD_SECRET", "secret from the launcher"),
              HasSubstr("RANK or WORLD_SIZE: not set"));
}

TEST_F(TcpOptionsFromEnv, NamesTheVariableWhenItIsMissing) {
  for (const char* name :
       {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SWITCHYARD_SECRET"}) {
    SetUp();
    EXPECT_THAT(error_when(name, ""), AllOf(HasSubstr(name), HasSubstr("not set")));
  }
}

TEST_F(TcpOptionsFromEnv, NamesVariableAndValueWhenItIsMalformed) {
  const std::multimap<const char*, const char*> bad{{"RANK", "three"},
                                                    {"RANK", "3x"},
                                                    {"RANK", "-1"},
                                                    {"RANK", "8"},
                                                    {"RANK", "99999999999999999999"},
                                                    {"WORLD_SIZE", "0"},
                                                    {"WORLD_SIZE", "1.5"},
                                                    {"WORLD_SIZE", "1000000000"},
                                                    {"MASTER_PORT", "0"},
                                                    {"MASTER_PORT", "65535"},
                                                    {"MASTER_PORT", " 29500"},
                                                    {"SWITCHYARD_PORT", "65536"},
                                                    {"SWITCHYARD_PORT", "port"}};
  for (const auto& [name, value] : bad) {
    SetUp();
    EXPECT_THAT(error_when(name, value), AllOf(HasSubstr(name), HasSubstr(value)));
  }
}

}  // namespace
}  // namespace switchyard
