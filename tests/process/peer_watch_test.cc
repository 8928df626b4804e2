#include "csrc/memory/peer_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "csrc/memory/process_identity.h"
#include "switchyard/error.h"
#include "tests/support/process.h"

namespace switchyard::memory {
namespace {

using test::kSuccess;
using ::testing::Each;

/// True once `watch` reports the death; death is not instant.
bool becomes_dead(const PeerWatch& watch, int rank) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!watch.is_dead(rank)) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

TEST(PeerWatch, NoticesOnEveryRankWhenAPeerIsKilled) {
  test::Processes processes;
  test::start_ranks(processes, 4, [](Bootstrap& bootstrap) {
    const PeerWatch watch(bootstrap);
    for (int rank = 0; rank < 4; ++rank) {
      EXPECT_FALSE(watch.is_dead(rank));
    }
    bootstrap.barrier();
    if (bootstrap.rank() == 2) {
      ::raise(SIGKILL);
    }
    EXPECT_TRUE(becomes_dead(watch, 2));
    EXPECT_FALSE(watch.is_dead(bootstrap.rank()));
  });
  const auto exits = processes.wait();
  EXPECT_EQ(exits[0], kSuccess);
  EXPECT_EQ(exits[1], kSuccess);
  EXPECT_EQ(exits[2].signal, SIGKILL);
  EXPECT_EQ(exits[3], kSuccess);
}

TEST(PeerWatch, NoticesWhenAPeerEndsByItself) {
  EXPECT_THAT(test::run_ranks(2,
                              [](Bootstrap& bootstrap) {
                                const PeerWatch watch(bootstrap);
                                bootstrap.barrier();
                                if (bootstrap.rank() == 0) {
                                  EXPECT_TRUE(becomes_dead(watch, 1));
                                }
                              }),
              Each(kSuccess));
}

TEST(PeerWatch, CallsNobodyDeadWhenRanksShareThisProcess) {
  const auto bootstraps = make_in_process_bootstraps(2);
  std::thread other([&] { const PeerWatch watch(*bootstraps[1]); });
  const PeerWatch watch(*bootstraps[0]);
  other.join();
  EXPECT_FALSE(watch.is_dead(0));
  EXPECT_FALSE(watch.is_dead(1));
}

TEST(PeerWatch, ThrowsWhenAskedAboutARankOutsideTheGroup) {
  const auto bootstraps = make_in_process_bootstraps(1);
  const PeerWatch watch(*bootstraps[0]);
  EXPECT_THROW((void)watch.is_dead(1), Error);
  EXPECT_THROW((void)watch.is_dead(-1), Error);
}

/// Rank 0 of 2; rank 1 claims to be the process `peer`.
std::unique_ptr<Bootstrap> group_with(const ProcessIdentity& peer) {
  return make_callback_bootstrap(
      0, 2, [peer](std::span<const std::byte> mine, std::span<std::byte> all) {
        std::memcpy(all.data(), mine.data(), mine.size());
        std::memcpy(all.data() + mine.size(), mine.data(), mine.size());
        if (mine.size() == sizeof(peer)) {
          std::memcpy(all.data() + mine.size(), &peer, sizeof(peer));
        }
      });
}

/// A process that lives until it is killed, as it would describe itself.
ProcessIdentity start_sleeper(test::Processes& processes) {
  processes.start([] {
    for (;;) {
      ::pause();
    }
  });
  ProcessIdentity identity = this_process();
  identity.pid = processes.pid(0);
  identity.start_time = process_start_time(identity.pid).value();
  return identity;
}

TEST(PeerWatch, WatchesThePeerWhenItsStartTimeMatches) {
  test::Processes processes;
  const auto bootstrap = group_with(start_sleeper(processes));
  const PeerWatch watch(*bootstrap);
  EXPECT_FALSE(watch.is_dead(1));
  processes.signal(0, SIGKILL);
  EXPECT_TRUE(becomes_dead(watch, 1));
}

TEST(PeerWatch, CallsThePeerDeadWhenItsPidBelongsToALaterProcess) {
  test::Processes processes;
  ProcessIdentity identity = start_sleeper(processes);
  identity.start_time -= 1;  // the rank that had this PID started earlier and is gone
  const auto bootstrap = group_with(identity);
  const PeerWatch watch(*bootstrap);
  EXPECT_TRUE(watch.is_dead(1));
}

TEST(PeerWatch, CallsThePeerDeadWhenItWasGoneBeforeItCouldBeWatched) {
  ProcessIdentity identity = this_process();
  {
    test::Processes processes;
    identity = start_sleeper(processes);
  }
  const auto bootstrap = group_with(identity);
  const PeerWatch watch(*bootstrap);
  EXPECT_TRUE(watch.is_dead(1));
}

TEST(PeerWatch, CallsThePeerAliveWhenItLivesInAnotherPidNamespace) {
  test::Processes processes;
  ProcessIdentity identity = start_sleeper(processes);
  identity.pid_namespace_ino += 1;
  const auto bootstrap = group_with(identity);
  const PeerWatch watch(*bootstrap);
  processes.signal(0, SIGKILL);
  EXPECT_FALSE(watch.is_dead(1));
}

}  // namespace
}  // namespace switchyard::memory
