#include "csrc/memory/process_identity.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace switchyard::memory {
namespace {

TEST(ProcessIdentity, IsTheSameWhenAskedTwice) {
  const ProcessIdentity identity = this_process();
  EXPECT_EQ(identity, this_process());
  EXPECT_EQ(identity.pid, ::getpid());
  EXPECT_NE(identity.start_time, 0U);
  EXPECT_NE(identity.pid_namespace_ino, 0U);
}

TEST(ProcessIdentity, ReadsTheStartTimeWhenTheProgramsNameLooksLikeFields) {
  const auto before = process_start_time(::getpid());
  ASSERT_TRUE(before.has_value());
  char name[16] = {};
  ::prctl(PR_GET_NAME, name);
  ::prctl(PR_SET_NAME, "a) S 1 2 3) 4 5");
  const auto during = process_start_time(::getpid());
  ::prctl(PR_SET_NAME, name);
  EXPECT_EQ(during, before);
}

TEST(ProcessIdentity, FindsNoStartTimeWhenThereIsNoSuchProcess) {
  EXPECT_EQ(process_start_time(-1), std::nullopt);
  EXPECT_EQ(process_start_time(std::int64_t{1} << 40), std::nullopt);
}

TEST(ProcessIdentity, SharesPidsOnlyWithinOneNamespaceOfOneBoot) {
  const ProcessIdentity self{.pid = 1, .pid_namespace_ino = 7, .boot_id = 3};
  EXPECT_TRUE(self.shares_pids_with({.pid = 2, .pid_namespace_ino = 7, .boot_id = 3}));
  EXPECT_FALSE(self.shares_pids_with({.pid = 2, .pid_namespace_ino = 8, .boot_id = 3}));
  EXPECT_FALSE(self.shares_pids_with({.pid = 2, .pid_namespace_ino = 7, .boot_id = 4}));
  const ProcessIdentity unknown{.pid = 1, .boot_id = 3};
  EXPECT_FALSE(unknown.shares_pids_with(unknown));
}

}  // namespace
}  // namespace switchyard::memory
