#include "benchmarks/cli/start_line.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

using namespace std::chrono_literals;

TEST(StartLineThreads, LetsNobodyPassWhenARankIsMissing) {
  constexpr int kRanks = 3;
  constexpr int kRounds = 200;
  const SharedStartLines lines(kRanks);
  std::atomic<int> arrived{0};
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < kRanks; ++rank) {
    ranks.emplace_back([&] {
      const std::unique_ptr<StartLine> line = lines.make(60s);
      for (int round = 1; round <= kRounds; ++round) {
        ++arrived;
        line->wait();
        EXPECT_GE(arrived.load(), round * kRanks);
      }
    });
  }
  for (std::thread& rank : ranks) {
    rank.join();
  }
}

TEST(StartLineThreads, GathersWhatEveryRankBrings) {
  constexpr int kRanks = 3;
  constexpr int kRounds = 200;
  const SharedStartLines lines(kRanks);
  std::atomic<int> num_wrong{0};
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < kRanks; ++rank) {
    ranks.emplace_back([&, rank] {
      const std::unique_ptr<StartLine> line = lines.make(60s);
      for (std::int64_t round = 0; round < kRounds; ++round) {
        const std::vector<std::int64_t> wanted{round * 10, round * 10 + 1, round * 10 + 2};
        num_wrong += line->gather(rank, round * 10 + rank) == wanted ? 0 : 1;
      }
    });
  }
  for (std::thread& rank : ranks) {
    rank.join();
  }
  EXPECT_EQ(num_wrong, 0);
}

TEST(StartLineThreads, FreesTheWaitingWhenARankGivesUp) {
  const SharedStartLines lines(2);
  std::thread waiting([&] {
    try {
      lines.make(60s)->wait();
      ADD_FAILURE() << "passed without the other rank";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kPeerLost);
    }
  });
  std::this_thread::sleep_for(20ms);
  lines.make(60s)->give_up();
  waiting.join();
}

TEST(StartLineThreads, TimesOutWhenARankDoesNotCome) {
  const SharedStartLines lines(2);
  try {
    lines.make(30ms)->wait();
    FAIL() << "passed without the other rank";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kTimeout);
  }
}

}  // namespace
}  // namespace switchyard::bench
