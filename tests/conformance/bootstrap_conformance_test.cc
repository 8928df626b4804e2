// One suite for every carrier of the rendezvous. A carrier joins with a function that gives one
// rank its bootstrap.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <vector>

#include "switchyard/bootstrap.h"
#include "switchyard/error.h"
#include "tests/support/loopback.h"
#include "tests/support/rank_threads.h"

namespace switchyard {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr milliseconds kLong{60'000};

/// Gives rank `rank` its bootstrap, in the thread of that rank.
using Join = std::function<std::unique_ptr<Bootstrap>(int rank)>;

Join in_process(int num_ranks, milliseconds timeout) {
  auto made = std::make_shared<std::vector<std::unique_ptr<Bootstrap>>>(
      make_in_process_bootstraps(num_ranks, timeout));
  return [made](int rank) { return std::move((*made)[static_cast<std::size_t>(rank)]); };
}

Join tcp(int num_ranks, milliseconds timeout) {
  auto listener = std::make_shared<test::LoopbackListener>();
  return [=](int rank) {
    TcpBootstrapOptions options;
    options.rank = rank;
    options.num_ranks = num_ranks;
    options.port = listener->port;
    options.secret = "conformance secret";
    options.listener_fd = rank == 0 ? listener->release() : -1;
    options.timeout = timeout;
    return make_tcp_bootstrap(options);
  };
}

/// The caller's all-gather is played by the in-process bootstrap.
Join callback(int num_ranks, milliseconds timeout) {
  return [=, join = in_process(num_ranks, timeout)](int rank) {
    std::shared_ptr<Bootstrap> carrier = join(rank);
    return make_callback_bootstrap(
        rank, num_ranks, [carrier](std::span<const std::byte> mine, std::span<std::byte> all) {
          carrier->all_gather(mine, all);
        });
  };
}

struct Carrier {
  const char* name;
  Join (*make)(int num_ranks, milliseconds timeout);
};

class BootstrapConformance : public ::testing::TestWithParam<Carrier> {
 protected:
  /// Runs `body` on every rank of a fresh group; element i is what rank i threw.
  static std::vector<std::string> run(int num_ranks,
                                      milliseconds timeout,
                                      const std::function<void(Bootstrap&)>& body) {
    const Join join = GetParam().make(num_ranks, timeout);
    return test::run_rank_threads(num_ranks, [&](int rank) { body(*join(rank)); });
  }

  static void expect_none(const std::vector<std::string>& errors) {
    EXPECT_THAT(errors, ::testing::Each(""));
  }
};

std::byte content(int rank, std::size_t index, std::size_t round) {
  return static_cast<std::byte>(static_cast<std::size_t>(rank) * 131 + index * 7 + round * 29);
}

void gather_and_check(Bootstrap& bootstrap, std::size_t bytes, std::size_t round) {
  const auto num_ranks = static_cast<std::size_t>(bootstrap.num_ranks());
  std::vector<std::byte> mine(bytes);
  for (std::size_t i = 0; i < bytes; ++i) {
    mine[i] = content(bootstrap.rank(), i, round);
  }
  std::vector<std::byte> all(bytes * num_ranks);
  bootstrap.all_gather(mine, all);
  for (std::size_t rank = 0; rank < num_ranks; ++rank) {
    for (std::size_t i = 0; i < bytes; ++i) {
      ASSERT_EQ(all[rank * bytes + i], content(static_cast<int>(rank), i, round))
          << "byte " << i << " of rank " << rank << " as seen by rank " << bootstrap.rank();
    }
  }
}

TEST_P(BootstrapConformance, KnowsRankAndSizeWhenJoined) {
  std::vector<int> seen(3, -1);
  expect_none(run(3, kLong, [&](Bootstrap& bootstrap) {
    EXPECT_EQ(bootstrap.num_ranks(), 3);
    seen[static_cast<std::size_t>(bootstrap.rank())] = bootstrap.rank();
  }));
  EXPECT_THAT(seen, ::testing::ElementsAre(0, 1, 2));
}

TEST_P(BootstrapConformance, GathersEveryRanksBytesInOrderWhenSizesVary) {
  for (const int num_ranks : {1, 2, 3, 5, 8, 16}) {
    expect_none(run(num_ranks, kLong, [&](Bootstrap& bootstrap) {
      std::size_t round = 0;
      for (const std::size_t bytes : {0U, 1U, 7U, 8U, 513U, 4096U, 100'000U}) {
        gather_and_check(bootstrap, bytes, round++);
      }
    }));
  }
}

TEST_P(BootstrapConformance, GathersWhenMessagesExceedEveryBuffer) {
  expect_none(run(4, kLong, [](Bootstrap& bootstrap) {
    gather_and_check(bootstrap, 1 << 20, 0);
    gather_and_check(bootstrap, (1 << 20) + 1, 1);
  }));
}

TEST_P(BootstrapConformance, KeepsRoundsApartWhenThereAreThousands) {
  expect_none(run(4, kLong, [](Bootstrap& bootstrap) {
    for (std::size_t round = 0; round < 3000; ++round) {
      gather_and_check(bootstrap, round % 17, round);
    }
  }));
}

TEST_P(BootstrapConformance, HoldsRanksAtTheBarrierUntilTheLastHasCome) {
  constexpr int kNumRanks = 5;
  constexpr int kNumRounds = 200;
  std::atomic<int> num_entered = 0;
  expect_none(run(kNumRanks, kLong, [&](Bootstrap& bootstrap) {
    for (int round = 1; round <= kNumRounds; ++round) {
      ++num_entered;
      bootstrap.barrier();
      EXPECT_GE(num_entered.load(), round * kNumRanks);
    }
  }));
}

TEST_P(BootstrapConformance, ThrowsInvalidArgumentWhenTheResultHasTheWrongSize) {
  expect_none(run(2, kLong, [](Bootstrap& bootstrap) {
    const std::vector<std::byte> mine(8);
    std::vector<std::byte> all(15);
    EXPECT_THROW(bootstrap.all_gather(mine, all), InvalidArgument);
    gather_and_check(bootstrap, 8, 0);  // nothing was sent: the group goes on
  }));
}

TEST_P(BootstrapConformance, NamesTheRankOnEveryRankWhenLengthsDiffer) {
  for (const int odd_rank : {1, 3}) {
    const auto errors = run(4, kLong, [&](Bootstrap& bootstrap) {
      bootstrap.barrier();
      const std::vector<std::byte> mine(bootstrap.rank() == odd_rank ? 12 : 8);
      std::vector<std::byte> all(4 * mine.size());
      bootstrap.all_gather(mine, all);
    });
    EXPECT_THAT(errors,
                ::testing::Each(
                    HasSubstr("rank " + std::to_string(odd_rank) + " sent 12 bytes, wanted 8")));
  }
}

TEST_P(BootstrapConformance, NamesTheFirstOtherRankWhenRank0IsTheOddOne) {
  const auto errors = run(3, kLong, [](Bootstrap& bootstrap) {
    const std::vector<std::byte> mine(bootstrap.rank() == 0 ? 200'000 : 0);
    std::vector<std::byte> all(3 * mine.size());
    bootstrap.all_gather(mine, all);
  });
  EXPECT_THAT(errors, ::testing::Each(HasSubstr(" sent 0 bytes, wanted 200000 as rank 0 sent")));
}

TEST_P(BootstrapConformance, NamesTheRankOnEveryOtherWhenItLeaves) {
  for (const int leaving_rank : {0, 2}) {
    auto errors = run(4, kLong, [&](Bootstrap& bootstrap) {
      gather_and_check(bootstrap, 100, 0);
      if (bootstrap.rank() != leaving_rank) {
        gather_and_check(bootstrap, 100, 1);
      }
    });
    EXPECT_EQ(errors[static_cast<std::size_t>(leaving_rank)], "");
    errors.erase(errors.begin() + leaving_rank);
    EXPECT_THAT(
        errors,
        ::testing::Each(HasSubstr("rank " + std::to_string(leaving_rank) + " has left the group")));
  }
}

TEST_P(BootstrapConformance, NamesTheRankOnEveryOtherWhenItDoesNotComeInTime) {
  constexpr int kMissingRank = 2;
  std::latch others_done(3);
  auto errors = run(4, milliseconds(2000), [&](Bootstrap& bootstrap) {
    if (bootstrap.rank() == kMissingRank) {
      others_done.wait();
      return;
    }
    try {
      bootstrap.barrier();
    } catch (...) {
      others_done.count_down();
      throw;
    }
    others_done.count_down();
  });
  EXPECT_EQ(errors[kMissingRank], "");
  errors.erase(errors.begin() + kMissingRank);
  EXPECT_THAT(errors, ::testing::Each(HasSubstr("rank 2 did not come within 2000 ms")));
}

TEST_P(BootstrapConformance, ThrowsBootstrapErrorAgainWhenTheGroupHasEnded) {
  std::latch all_failed(3);
  expect_none(run(3, kLong, [&](Bootstrap& bootstrap) {
    const std::vector<std::byte> mine(bootstrap.rank() == 1 ? 1 : 2);
    std::vector<std::byte> all(3 * mine.size());
    EXPECT_THROW(bootstrap.all_gather(mine, all), BootstrapError);
    all_failed.arrive_and_wait();
    if (GetParam().make !=
        &callback) {  // whether a failure is final is the caller's business there
      EXPECT_THROW(bootstrap.barrier(), BootstrapError);
    }
  }));
}

INSTANTIATE_TEST_SUITE_P(Carriers,
                         BootstrapConformance,
                         ::testing::Values(Carrier{"InProcess", &in_process},
                                           Carrier{"Tcp", &tcp},
                                           Carrier{"Callback", &callback}),
                         [](const auto& carrier) { return std::string(carrier.param.name); });

TEST(InProcessBootstrap, ThrowsWhenTheSizeIsBad) {
  EXPECT_THROW(make_in_process_bootstraps(0), InvalidArgument);
  EXPECT_THROW(make_in_process_bootstraps(-3), InvalidArgument);
}

TEST(CallbackBootstrap, ThrowsWhenRankSizeOrFunctionAreBad) {
  const AllGatherFn nothing = [](std::span<const std::byte>, std::span<std::byte>) {};
  EXPECT_THROW(make_callback_bootstrap(2, 2, nothing), InvalidArgument);
  EXPECT_THROW(make_callback_bootstrap(-1, 2, nothing), InvalidArgument);
  EXPECT_THROW(make_callback_bootstrap(0, 0, nothing), InvalidArgument);
  EXPECT_THROW(make_callback_bootstrap(0, 1, AllGatherFn()), InvalidArgument);
}

TEST(CallbackBootstrap, PassesOnWhatTheFunctionThrows) {
  const auto bootstrap =
      make_callback_bootstrap(0, 1, [](std::span<const std::byte>, std::span<std::byte>) {
        throw std::runtime_error("from the caller");
      });
  EXPECT_THROW(bootstrap->barrier(), std::runtime_error);
}

}  // namespace
}  // namespace switchyard
