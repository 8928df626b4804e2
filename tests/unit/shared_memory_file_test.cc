// What a peer says of its file is checked against the file before anything is mapped.
#include "csrc/memory/shared_memory_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr std::uint64_t kBytes = 1 << 20;

class SharedMemoryFile : public ::testing::Test {
 protected:
  SharedMemoryFile()
      : name_(random_file_name()),
        sweeper_({name_}),
        file_(make_shared_file(Backing::kDevShm, kBytes, 1, name_)),
        id_(identify(file_)) {}

  /// Whether a peer accepts the file under what `id` says of it.
  static bool is_accepted(const SharedFileId& id) {
    try {
      return open_by_descriptor(::getpid(), id).valid();
    } catch (const SystemError&) {
      return false;
    }
  }

  SharedFileName name_;
  NameSweeper sweeper_;
  bootstrap::UniqueFd file_;
  SharedFileId id_;
};

TEST_F(SharedMemoryFile, HasItsSizeAndIsItsOwnersAlone) {
  struct stat seen {};
  ASSERT_EQ(::fstat(file_.get(), &seen), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(seen.st_size), kBytes);
  EXPECT_EQ(seen.st_mode & 07777, 0600U);
  EXPECT_EQ(seen.st_uid, ::geteuid());
  EXPECT_GE(static_cast<std::uint64_t>(seen.st_blocks) * 512, kBytes) << "memory is not reserved";
}

TEST_F(SharedMemoryFile, IsAcceptedWhenItIsAsAnnounced) {
  EXPECT_TRUE(is_accepted(id_));
}

TEST_F(SharedMemoryFile, IsRefusedWhenAnyPartOfTheAnnouncementDiffers) {
  const auto altered = [this](auto member) {
    SharedFileId id = id_;
    id.*member += 1;
    return id;
  };
  EXPECT_FALSE(is_accepted(altered(&SharedFileId::device)));
  EXPECT_FALSE(is_accepted(altered(&SharedFileId::inode)));
  EXPECT_FALSE(is_accepted(altered(&SharedFileId::bytes)));
  EXPECT_FALSE(is_accepted(altered(&SharedFileId::uid)));
  SharedFileId closed = id_;
  closed.fd = 1'000'000;
  EXPECT_FALSE(is_accepted(closed));
}

TEST_F(SharedMemoryFile, IsRefusedWhenOthersMayOpenIt) {
  ASSERT_EQ(::fchmod(file_.get(), 0660), 0);
  EXPECT_FALSE(is_accepted(id_));
}

TEST_F(SharedMemoryFile, IsRefusedWithoutWaitingWhenTheDescriptorIsAPipe) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  const bootstrap::UniqueFd out(fds[0]);
  const bootstrap::UniqueFd in(fds[1]);
  SharedFileId pipe = identify(out);
  pipe.fd = out.get();
  EXPECT_FALSE(is_accepted(pipe));
}

TEST_F(SharedMemoryFile, IsOpenedByItsNameOnceLinkedUntilItIsSwept) {
  EXPECT_THROW(open_by_name(name_, id_), SystemError);
  {
    const NameSweeper sweeper({name_});
    link_shared_file(file_, name_);
    link_shared_file(file_, name_);  // has its name already
    EXPECT_TRUE(open_by_name(name_, id_).valid());
  }
  EXPECT_THROW(open_by_name(name_, id_), SystemError);
}

TEST_F(SharedMemoryFile, IsNotOpenedWhenItsNameIsALinkToAnother) {
  const SharedFileName other = random_file_name();
  const NameSweeper sweeper({other});
  link_shared_file(file_, name_);
  ASSERT_EQ(::symlink(path_of(name_).c_str(), path_of(other).c_str()), 0);
  EXPECT_THROW(open_by_name(other, id_), SystemError);
}

TEST(SharedFileName, IsFreshAndCannotBeGuessed) {
  const std::string path = path_of(random_file_name());
  EXPECT_THAT(path, MatchesRegex("/dev/shm/switchyard-[0-9a-f]+"));
  EXPECT_EQ(path.size(), std::string_view("/dev/shm/switchyard-").size() + 32);
  EXPECT_NE(path, path_of(random_file_name()));
}

TEST(SharedFileName, IsRefusedWhenAPeerSendsAnotherForm) {
  for (const std::string_view text : {"",
                                      "switchyard-",
                                      "switchyard-0123456789abcdef0123456789abcdef0",
                                      "switchyard-0123456789abcdef0123456789ABCDEF",
                                      "switchyard-/../../../../etc/passwd/////////",
                                      "another---0123456789abcdef0123456789abcdef0"}) {
    SharedFileName name;
    std::copy(text.begin(), text.end(), name.text.begin());
    EXPECT_THROW(path_of(name), Error) << text;
  }
  SharedFileName endless;
  endless.text.fill('a');
  EXPECT_THROW(path_of(endless), Error);
}

}  // namespace
}  // namespace switchyard::memory
