#include "benchmarks/cli/supervisor.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include "benchmarks/cli/program.h"

namespace switchyard::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;
using namespace std::chrono_literals;

void write_text(int fd, const std::string& text) {
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

void sleep_long() {
  for (;;) {
    ::pause();
  }
}

bool no_child_left() {
  return ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
}

TEST(Supervisor, DeliversLinesWholeWhenChildrenWriteThemInPieces) {
  Supervisor supervisor({});
  supervisor.add([](int fd) {
    write_text(fd, "one\ntw");
    ::usleep(20'000);
    write_text(fd, "o\nlast without newline");
    return 0;
  });
  std::vector<std::string> lines;
  const SupervisedRun run =
      supervisor.run([&](int, const std::string& line) { lines.push_back(line); });
  EXPECT_TRUE(run.ok());
  EXPECT_THAT(lines, ElementsAre("one", "two", "last without newline"));
  EXPECT_TRUE(no_child_left());
}

TEST(Supervisor, TellsWhichChildWroteWhenThereAreSeveral) {
  Supervisor supervisor({});
  for (int i = 0; i < 3; ++i) {
    supervisor.add([i](int fd) {
      write_text(fd, std::to_string(i) + "\n");
      return 0;
    });
  }
  std::vector<std::string> lines;
  const SupervisedRun run = supervisor.run([&](int child, const std::string& line) {
    lines.push_back(std::to_string(child) + ":" + line);
  });
  EXPECT_TRUE(run.ok());
  EXPECT_THAT(lines, UnorderedElementsAre("0:0", "1:1", "2:2"));
}

TEST(Supervisor, EndsTheOthersWhenOneChildFails) {
  Supervisor supervisor({.settle = 10ms});
  supervisor.add([](int) {
    sleep_long();
    return 0;
  });
  supervisor.add([](int) { return 7; });
  const SupervisedRun run = supervisor.run([](int, const std::string&) {});
  EXPECT_FALSE(run.ok());
  ASSERT_EQ(run.ends.size(), 2U);
  EXPECT_EQ(run.ends[0].child_idx, 1);
  EXPECT_EQ(run.ends[0].exit_code, 7);
  EXPECT_FALSE(run.ends[0].ended_by_us);
  EXPECT_EQ(run.ends[1].signal, SIGKILL);
  EXPECT_TRUE(run.ends[1].ended_by_us);
  EXPECT_TRUE(no_child_left());
}

TEST(Supervisor, NamesTheSignalWhenAChildIsKilled) {
  Supervisor supervisor({});
  supervisor.add([](int) {
    ::raise(SIGKILL);
    return 0;
  });
  const SupervisedRun run = supervisor.run([](int, const std::string&) {});
  ASSERT_EQ(run.ends.size(), 1U);
  EXPECT_EQ(run.ends[0].signal, SIGKILL);
  EXPECT_FALSE(run.ends[0].ended_by_us);
}

TEST(Supervisor, EndsAllWhenTheUserInterrupts) {
  Supervisor supervisor({});
  for (int i = 0; i < 2; ++i) {
    supervisor.add([](int fd) {
      write_text(fd, "up\n");
      sleep_long();
      return 0;
    });
  }
  int up = 0;
  const SupervisedRun run = supervisor.run([&](int, const std::string&) {
    if (++up == 2) {
      ::kill(::getpid(), SIGINT);
    }
  });
  EXPECT_EQ(run.interrupted_by, SIGINT);
  EXPECT_EQ(run.ends.size(), 2U);
  EXPECT_TRUE(no_child_left());
}

TEST(Supervisor, KillsAfterTheGraceWhenAChildIgnoresTheStop) {
  Supervisor supervisor({.stop_signal = SIGTERM, .grace = 50ms, .own_process_group = true});
  supervisor.add([](int fd) {
    ::signal(SIGTERM, SIG_IGN);
    write_text(fd, "up\n");
    sleep_long();
    return 0;
  });
  const SupervisedRun run =
      supervisor.run([&](int, const std::string&) { ::kill(::getpid(), SIGTERM); });
  EXPECT_EQ(run.interrupted_by, SIGTERM);
  ASSERT_EQ(run.ends.size(), 1U);
  EXPECT_EQ(run.ends[0].signal, SIGKILL);
}

TEST(Supervisor, LeavesNoChildWhenAListenerThrows) {
  Supervisor supervisor({});
  supervisor.add([](int fd) {
    write_text(fd, "up\n");
    sleep_long();
    return 0;
  });
  EXPECT_THROW(supervisor.run([](int, const std::string&) { throw 1; }), int);
  EXPECT_TRUE(no_child_left());
}

TEST(Program, KeepsItsOutputsApartWhenItReadsAndWrites) {
  const ProgramResult result =
      run_program({"sh", "-c", "cat; echo problem >&2; exit 3"}, "first\nsecond\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, "first\nsecond\n");
  EXPECT_EQ(result.error_output, "problem\n");
  EXPECT_FALSE(result.ok());
}

TEST(Program, IsMissingWhenThereIsNoSuchProgram) {
  EXPECT_TRUE(run_program({"no-such-program-anywhere"}, "").missing());
}

TEST(Program, QuotesTheLastLinesWhenATextIsLong) {
  EXPECT_EQ(last_lines("a\nb\nc\n", 2), "b\nc");
  EXPECT_EQ(last_lines("a\nb\nc", 5), "a\nb\nc");
  EXPECT_EQ(last_lines("", 2), "");
  EXPECT_EQ(last_lines("a", 1), "a");
}

}  // namespace
}  // namespace switchyard::bench
