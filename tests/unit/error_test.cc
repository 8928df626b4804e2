#include "switchyard/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "csrc/protocol/check.h"

namespace switchyard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Error, HasAnotherNameForEachCode) {
  std::set<std::string> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    names.insert(error_code_name(static_cast<ErrorCode>(code)));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(ErrorCode::kInternal) + 1);
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_STREQ(error_code_name(static_cast<ErrorCode>(200)), "unknown");
}

TEST(Check, PassesWhenTheConditionHolds) {
  EXPECT_NO_THROW(SY_CHECK(1 + 1 == 2, "arithmetic works"));
}

TEST(Check, SaysWhatBrokeAndWhereWhenTheConditionFails) {
  const int num_slots = 3;
  try {
    SY_CHECK(num_slots == 4, "there are four slots");
    FAIL() << "a broken invariant passed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("there are four slots"),
                      HasSubstr("num_slots == 4"),
                      HasSubstr("error_test.cc")));
  }
}

}  // namespace
}  // namespace switchyard
