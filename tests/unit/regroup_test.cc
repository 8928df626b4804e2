#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "csrc/bootstrap/tcp_rendezvous.h"
#include "switchyard/error.h"
#include "switchyard/membership.h"
#include "tests/support/loopback.h"
#include "tests/support/rank_threads.h"

namespace switchyard {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// A port that was free a moment ago.
std::uint16_t free_port() {
  return test::LoopbackListener().port;
}

RegroupOptions options_for(int rank, int world_ranks, std::uint16_t port, std::vector<int> lost) {
  RegroupOptions options;
  options.tcp.rank = rank;
  options.tcp.num_ranks = world_ranks;
  options.tcp.port = port;
  options.tcp.secret = "the secret of the job";
  options.tcp.timeout = milliseconds(20'000);
  options.lost_ranks = [lost = std::move(lost)] { return lost; };
  return options;
}

TEST(Regroup, SurvivorsMeetAndAreNumberedAmongThemselves) {
  const std::uint16_t port = free_port();
  const std::vector<int> survivors{1, 2, 4};
  const auto errors = test::run_rank_threads(3, [&](int i) {
    const Regrouped group =
        regroup(options_for(survivors[static_cast<std::size_t>(i)], 5, port, {0, 3}));
    EXPECT_EQ(group.bootstrap->rank(), i);
    EXPECT_EQ(group.bootstrap->num_ranks(), 3);
    EXPECT_EQ(group.membership.world_ranks, 5);
    EXPECT_EQ(group.membership.members, survivors);
    group.bootstrap->barrier();
  });
  EXPECT_THAT(errors, ::testing::Each(""));
}

TEST(Regroup, ARankAloneGoesOnAlone) {
  const Regrouped group = regroup(options_for(2, 3, free_port(), {0, 1}));
  EXPECT_EQ(group.bootstrap->num_ranks(), 1);
  EXPECT_THAT(group.membership.members, ElementsAre(2));
}

TEST(Regroup, AllRanksOfTheWorldMeetWhereNoneIsLost) {
  const std::uint16_t port = free_port();
  const auto errors = test::run_rank_threads(3, [&](int rank) {
    RegroupOptions options = options_for(rank, 3, port, {});
    options.lost_ranks = nullptr;
    EXPECT_TRUE(regroup(options).membership.whole());
  });
  EXPECT_THAT(errors, ::testing::Each(""));
}

TEST(Regroup, RanksThatLearnOfALossAtDifferentTimesAgreeInTheEnd) {
  const std::uint16_t port = free_port();
  std::atomic<bool> known{false};
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(150));
    known.store(true);
  });
  const auto errors = test::run_rank_threads(3, [&](int rank) {
    RegroupOptions options = options_for(rank, 4, port, {});
    options.lost_ranks = [&known, rank]() -> std::vector<int> {
      return rank == 1 || known.load() ? std::vector<int>{3} : std::vector<int>{};
    };
    EXPECT_THAT(regroup(options).membership.members, ElementsAre(0, 1, 2));
  });
  later.join();
  EXPECT_THAT(errors, ::testing::Each(""));
}

TEST(Regroup, ARankThatTheOthersTakeForLostIsToldSo) {
  try {
    (void)regroup(options_for(1, 3, free_port(), {1}));
    ADD_FAILURE() << "regrouped";
  } catch (const BootstrapError& error) {
    EXPECT_THAT(error.what(), HasSubstr("rank 1 itself is taken for lost"));
  }
}

TEST(Regroup, AnotherGenerationIsKeptOut) {
  const std::uint16_t port = free_port();
  const auto errors = test::run_rank_threads(3, [&](int rank) {
    // Rank 2 of the world comes late, from a generation in which nobody was lost but rank 1.
    RegroupOptions options =
        options_for(rank, 4, port, rank == 2 ? std::vector<int>{1} : std::vector<int>{2, 3});
    options.generation = rank == 2 ? 1 : 2;
    options.tcp.timeout = milliseconds(rank == 2 ? 600 : 20'000);
    EXPECT_THAT(regroup(options).membership.members, ElementsAre(0, 1));
  });
  EXPECT_EQ(errors[0], "");
  EXPECT_EQ(errors[1], "");
  EXPECT_THAT(errors[2], HasSubstr("no group came together at generation 1 within 600 ms"));
}

TEST(Regroup, NamesThoseItWaitedFor) {
  RegroupOptions options = options_for(0, 3, free_port(), {});
  options.tcp.timeout = milliseconds(300);
  try {
    (void)regroup(options);
    ADD_FAILURE() << "regrouped";
  } catch (const BootstrapError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did not connect to rank 0"));
    EXPECT_THAT(error.what(), HasSubstr("meeting ranks 0, 1, 2: "));
  }
}

TEST(Regroup, NamesThoseItWaitedForByTheirNumbersInTheWorldAndTheAttemptsLimit) {
  RegroupOptions options = options_for(1, 4, free_port(), {0, 2});
  options.tcp.timeout = milliseconds(700);
  try {
    (void)regroup(options);
    ADD_FAILURE() << "regrouped";
  } catch (const BootstrapError& error) {
    EXPECT_THAT(error.what(), HasSubstr("meeting ranks 1, 3 of the world, here as ranks 0, 1: "));
    EXPECT_THAT(error.what(), HasSubstr("rank 1 of 2 did not connect to rank 0 within "));
    EXPECT_THAT(error.what(), Not(HasSubstr("did not connect to rank 0 within 700 ms")));
  }
}

// A rank that was stopped between its proof and its first gather holds up one attempt, not all.
TEST(Regroup, GoesOnWithoutARankThatStopsOnceItIsConnected) {
  const std::uint16_t port = free_port();
  std::atomic<bool> known{false};
  std::atomic<bool> done{false};
  TcpBootstrapOptions stopped;
  stopped.rank = 1;
  stopped.num_ranks = 2;
  stopped.port = port;
  stopped.secret = "the secret of the job|generation 0|members 0 1";
  std::thread stops([&] {
    const auto fd = bootstrap::connect_to_rank0(stopped, bootstrap::Deadline(milliseconds(20'000)));
    known.store(true);
    while (!done.load()) {
      std::this_thread::sleep_for(milliseconds(10));
    }
  });
  RegroupOptions options = options_for(0, 2, port, {});
  options.lost_ranks = [&known]() -> std::vector<int> {
    return known.load() ? std::vector<int>{1} : std::vector<int>{};
  };
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NO_THROW(EXPECT_THAT(regroup(options).membership.members, ElementsAre(0)));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(10'000));
  done.store(true);
  stops.join();
}

TEST(Regroup, RefusesWhatAnAttemptWouldNotMiss) {
  RegroupOptions options = options_for(0, 3, 4000, {});
  options.tcp.secret = "";
  EXPECT_THROW((void)regroup(options), InvalidArgument);
  options = options_for(0, 3, 4000, {});
  options.tcp.listener_fd = 5;
  try {
    (void)regroup(options);
    ADD_FAILURE() << "regrouped";
  } catch (const InvalidArgument& error) {
    EXPECT_THAT(error.what(), HasSubstr("listener_fd: got 5, wanted -1"));
  }
}

TEST(Regroup, RefusesARankOutsideTheWorld) {
  EXPECT_THROW((void)regroup(options_for(3, 3, 4000, {})), InvalidArgument);
  EXPECT_THROW((void)regroup(options_for(0, 3, 0, {})), InvalidArgument);
}

}  // namespace
}  // namespace switchyard
