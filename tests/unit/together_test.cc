#include "csrc/bootstrap/together.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <stdexcept>
#include <string>

#include "tests/support/rank_threads.h"

namespace switchyard::bootstrap {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr int kNumRanks = 4;

/// Lets rank r run `step(r)` together with the others and passes what came of it to `check`.
void expect_on_every_rank(const std::function<void(int)>& step,
                          const std::function<void(const std::optional<Failure>&)>& check) {
  const auto bootstraps = make_in_process_bootstraps(kNumRanks);
  const auto errors = test::run_rank_threads(kNumRanks, [&](int rank) {
    check(run_and_compare(*bootstraps[static_cast<std::size_t>(rank)], [&] { step(rank); }));
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(RunAndCompare, ReportsNothingWhenEveryRankSucceeds) {
  expect_on_every_rank([](int) {}, [](const auto& failure) { EXPECT_FALSE(failure); });
}

TEST(RunAndCompare, ReportsTheLowestRankEverywhereWhenSomeFail) {
  const auto step = [](int rank) {
    if (rank >= 2) {
      throw SystemError(ENOSPC, "no room on " + std::to_string(rank));
    }
  };
  expect_on_every_rank(step, [](const auto& failure) {
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->rank, 2);
    EXPECT_EQ(failure->code, ErrorCode::kSystem);
    EXPECT_EQ(failure->system_errno, ENOSPC);
    EXPECT_EQ(failure->message, "no room on 2");
  });
}

TEST(RunAndCompare, ReportsTheCodeWhenAnErrorIsNotOfTheSystem) {
  const auto step = [](int rank) {
    if (rank == 1) {
      throw InvalidArgument("bad value");
    }
  };
  expect_on_every_rank(step, [](const auto& failure) {
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, ErrorCode::kInvalidArgument);
  });
}

TEST(RunAndCompare, ReportsInternalWhenTheExceptionIsAForeignOne) {
  const auto step = [](int rank) {
    if (rank == 3) {
      throw std::length_error("from elsewhere");
    }
  };
  expect_on_every_rank(step, [](const auto& failure) {
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, ErrorCode::kInternal);
    EXPECT_EQ(failure->message, "from elsewhere");
  });
}

TEST(RunAndCompare, CutsTheMessageWhenItIsTooLong) {
  const auto step = [](int) { throw InvalidState(std::string(10'000, 'x')); };
  expect_on_every_rank(step, [](const auto& failure) {
    ASSERT_TRUE(failure);
    EXPECT_GT(failure->message.size(), 500U);
    EXPECT_LT(failure->message.size(), 1000U);
    EXPECT_EQ(failure->message.find_first_not_of('x'), std::string::npos);
  });
}

TEST(RunTogether, ThrowsACallersMistakeAsOneOnEveryRank) {
  const auto bootstraps = make_in_process_bootstraps(kNumRanks);
  const auto errors = test::run_rank_threads(kNumRanks, [&](int rank) {
    EXPECT_THROW(run_together(*bootstraps[static_cast<std::size_t>(rank)],
                              [&] {
                                if (rank == 1) {
                                  throw InvalidArgument("bad value");
                                }
                              }),
                 InvalidArgument);
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(RunTogether, ThrowsTheSameErrorEverywhereWhenOneRankFails) {
  const auto bootstraps = make_in_process_bootstraps(kNumRanks);
  const auto errors = test::run_rank_threads(kNumRanks, [&](int rank) {
    run_together(*bootstraps[static_cast<std::size_t>(rank)], [&] {
      if (rank == 1) {
        throw SystemError(ENOMEM, "out of pages");
      }
    });
  });
  EXPECT_THAT(errors, Each("rank 1: out of pages"));
}

TEST(RunTogether, KeepsTheTypeWhenTheCallersValueIsTheMistake) {
  const auto bootstraps = make_in_process_bootstraps(kNumRanks);
  const auto errors = test::run_rank_threads(kNumRanks, [&](int rank) {
    EXPECT_THROW(run_together(*bootstraps[static_cast<std::size_t>(rank)],
                              [&] {
                                if (rank == 2) {
                                  throw InvalidArgument("no such device");
                                }
                              }),
                 InvalidArgument);
  });
  EXPECT_THAT(errors, Each(""));
}

}  // namespace
}  // namespace switchyard::bootstrap
