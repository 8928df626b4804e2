// Descriptors between real processes, with memfds in place of GPU memory: both ways, what closes
// each, and strangers.
#include "csrc/memory/descriptor_exchange.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>

#include "csrc/bootstrap/gather.h"
#include "csrc/memory/descriptor_socket.h"
#include "switchyard/error.h"
#include "tests/support/process.h"

namespace switchyard::memory {
namespace {

using bootstrap::UniqueFd;
using test::kSuccess;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

/// A file that says which rank made it.
UniqueFd make_file_of(int rank) {
  UniqueFd file(::memfd_create("descriptor_exchange_test", MFD_CLOEXEC));
  if (!file.valid() || ::pwrite(file.get(), &rank, sizeof(rank), 0) != sizeof(rank)) {
    throw std::runtime_error("cannot make a memfd");
  }
  return file;
}

int rank_in(const UniqueFd& file) {
  int rank = -1;
  return ::pread(file.get(), &rank, sizeof(rank), 0) == sizeof(rank) ? rank : -1;
}

std::size_t num_open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// As a container's default profile: the system call is refused, whatever the user's rights.
void refuse_pidfd_getfd() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_getfd, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{.len = std::size(filter), .filter = filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    throw std::runtime_error("cannot install a filter of system calls");
  }
}

/// Exchanges files and checks that each is the one of its rank.
std::string exchange_files(Bootstrap& bootstrap) {
  const UniqueFd mine = make_file_of(bootstrap.rank());
  const auto processes = bootstrap::gather_values(bootstrap, this_process());
  const auto received = exchange_descriptors(bootstrap, mine.get(), processes);
  EXPECT_EQ(received.of_rank.size(), static_cast<std::size_t>(bootstrap.num_ranks()));
  for (int rank = 0; rank < bootstrap.num_ranks(); ++rank) {
    const UniqueFd& fd = received.of_rank[static_cast<std::size_t>(rank)];
    if (rank == bootstrap.rank()) {
      EXPECT_FALSE(fd.valid());
    } else {
      EXPECT_EQ(rank_in(fd), rank);
      EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
    }
  }
  return received.way;
}

bool may_take_descriptors() {
  test::Processes child;
  const UniqueFd file = make_file_of(0);
  const ProcessIdentity self = this_process();
  child.start([&] { (void)take_descriptor(self, file.get()); });
  return child.wait().front() == kSuccess;
}

TEST(DescriptorExchange, TakesDescriptorsWhereTheSystemAllowsIt) {
  if (!may_take_descriptors()) {
    GTEST_SKIP() << "pidfd_getfd is refused here (yama, a container's profile)";
  }
  for (const int num_ranks : {1, 2, 5}) {
    EXPECT_THAT(test::run_ranks(num_ranks,
                                [](Bootstrap& bootstrap) {
                                  EXPECT_EQ(exchange_files(bootstrap), "taken by pidfd");
                                }),
                Each(kSuccess));
  }
}

TEST(DescriptorExchange, SendsThemOverSocketsWhenTakingIsRefused) {
  for (const int num_ranks : {2, 3, 12}) {
    EXPECT_THAT(test::run_ranks(num_ranks,
                                [](Bootstrap& bootstrap) {
                                  refuse_pidfd_getfd();
                                  EXPECT_EQ(exchange_files(bootstrap), "sent over sockets");
                                }),
                Each(kSuccess));
  }
}

TEST(DescriptorExchange, TakesOneWayForAllWhenOneRankIsRefused) {
  EXPECT_THAT(test::run_ranks(3,
                              [](Bootstrap& bootstrap) {
                                if (bootstrap.rank() == 1) {
                                  refuse_pidfd_getfd();
                                }
                                EXPECT_EQ(exchange_files(bootstrap), "sent over sockets");
                              }),
              Each(kSuccess));
}

TEST(DescriptorExchange, LeavesNoDescriptorBehind) {
  EXPECT_THAT(test::run_ranks(3,
                              [](Bootstrap& bootstrap) {
                                (void)exchange_files(bootstrap);
                                const std::size_t before = num_open_descriptors();
                                (void)exchange_files(bootstrap);
                                EXPECT_EQ(num_open_descriptors(), before);
                                refuse_pidfd_getfd();
                                (void)exchange_files(bootstrap);
                                EXPECT_EQ(num_open_descriptors(), before);
                              }),
              Each(kSuccess));
}

TEST(DescriptorExchange, TellsOfBothWaysOnEveryRankWhenNeitherIsOpen) {
  test::Processes probe;
  probe.start([] { ::_exit(::unshare(CLONE_NEWNET) == 0 ? 0 : 1); });
  if (probe.wait().front() != kSuccess) {
    GTEST_SKIP() << "needs the right to make network namespaces (root outside a container)";
  }
  EXPECT_THAT(test::run_ranks(2,
                              [](Bootstrap& bootstrap) {
                                refuse_pidfd_getfd();
                                if (bootstrap.rank() == 1) {
                                  ASSERT_EQ(::unshare(CLONE_NEWNET),
                                            0);  // the bootstrap's socket stays
                                }
                                try {
                                  exchange_files(bootstrap);
                                  ADD_FAILURE() << "descriptors passed between network namespaces";
                                } catch (const SystemError& error) {
                                  EXPECT_EQ(error.system_errno(), ECONNREFUSED);
                                  EXPECT_THAT(error.what(),
                                              AllOf(HasSubstr("By pidfd: rank 0"),
                                                    HasSubstr("pidfd_getfd needs"),
                                                    HasSubstr("By socket: rank 0"),
                                                    HasSubstr("one network namespace")));
                                }
                                bootstrap.barrier();  // the group stays usable
                              }),
              Each(kSuccess));
}

TEST(DescriptorExchange, NamesTheProcessWhenItHasEnded) {
  test::Processes processes;
  processes.start([] {});
  ProcessIdentity ended = this_process();
  ended.pid = processes.pid(0);
  ended.start_time = process_start_time(ended.pid).value_or(1);
  processes.wait();
  try {
    (void)take_descriptor(ended, 1);
    ADD_FAILURE() << "took a descriptor of a process that has ended";
  } catch (const SystemError& error) {
    EXPECT_EQ(error.system_errno(), ESRCH);
    EXPECT_THAT(error.what(), HasSubstr(std::to_string(ended.pid)));
  }
}

/// Two ends in one process, as rank 0 and rank 1 would have them.
class SocketOfRank0 : public ::testing::Test {
 protected:
  [[nodiscard]] std::vector<UniqueFd> receive() {
    std::vector<UniqueFd> of_rank(2);
    own_.receive(of_rank);
    return of_rank;
  }

  DescriptorSocket own_{2};
  DescriptorSocket other_{2};
  UniqueFd file_ = make_file_of(1);
};

TEST_F(SocketOfRank0, ReceivesWhatARankOfTheGroupSends) {
  other_.send_to(own_.address(), 0, 1, file_.get());
  EXPECT_EQ(rank_in(receive()[1]), 1);
}

TEST_F(SocketOfRank0, DropsAndClosesWhatComesWithoutTheToken) {
  SocketAddress guessed = own_.address();
  guessed.token[15] ^= 1;
  const std::size_t before = num_open_descriptors();
  {
    DescriptorSocket stranger(2);
    stranger.send_to(guessed, 0, 1, file_.get());
    EXPECT_FALSE(receive()[1].valid());
  }
  EXPECT_EQ(num_open_descriptors(), before);
  other_.send_to(own_.address(), 0, 1, file_.get());
  EXPECT_EQ(rank_in(receive()[1]), 1);
}

TEST_F(SocketOfRank0, DropsRanksThatCannotBeAndSecondMessages) {
  const UniqueFd second = make_file_of(7);
  for (const int impossible : {-1, 2, 1 << 30}) {
    other_.send_to(own_.address(), 0, impossible, second.get());
  }
  other_.send_to(own_.address(), 0, 1, file_.get());
  other_.send_to(own_.address(), 0, 1, second.get());
  const auto of_rank = receive();
  EXPECT_EQ(rank_in(of_rank[1]), 1);
  EXPECT_FALSE(of_rank[0].valid());
}

TEST_F(SocketOfRank0, RefusesToSendToAnotherUsersProcess) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root to become another user";
  }
  test::Processes processes;
  processes.start([this] {
    // The listener's user is that of the moment when it began to listen.
    ASSERT_EQ(::seteuid(65534), 0);
    try {
      other_.send_to(own_.address(), 0, 1, file_.get());
      ADD_FAILURE() << "sent a descriptor to another user's process";
    } catch (const SystemError& error) {
      EXPECT_EQ(error.system_errno(), EACCES);
      EXPECT_THAT(error.what(), HasSubstr("rank 0 runs under another user"));
    }
  });
  EXPECT_EQ(processes.wait().front(), kSuccess);
}

}  // namespace
}  // namespace switchyard::memory
