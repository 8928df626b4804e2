#include "csrc/bootstrap/deadline.h"

#include <gtest/gtest.h>

namespace switchyard::bootstrap {
namespace {

using std::chrono::milliseconds;

TEST(Deadline, HasPassedWhenTheLimitIsZeroOrNegative) {
  EXPECT_TRUE(Deadline(milliseconds(0)).passed());
  EXPECT_TRUE(Deadline(milliseconds::min()).passed());
  EXPECT_EQ(Deadline(milliseconds(-5)).poll_timeout_ms(), 0);
}

TEST(Deadline, HasNotPassedWhenTheLimitIsAbsurdlyLong) {
  const Deadline deadline(milliseconds::max(), milliseconds(2000));
  EXPECT_FALSE(deadline.passed());
  EXPECT_GT(deadline.poll_timeout_ms(), 3'600'000);
}

TEST(Deadline, LeavesAtMostTheLimitToPoll) {
  const int left = Deadline(milliseconds(60'000)).poll_timeout_ms();
  EXPECT_GT(left, 0);
  EXPECT_LE(left, 60'000);
}

TEST(Deadline, OrdersByItsEnd) {
  const Deadline soon(milliseconds(10));
  const Deadline late(milliseconds(10'000));
  EXPECT_TRUE(soon < late);
  EXPECT_EQ(std::min(late, soon).end(), soon.end());
}

}  // namespace
}  // namespace switchyard::bootstrap
