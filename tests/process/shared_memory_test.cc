// Heaps shared by real processes: what peers see, what is left when processes die, and what full or
// separate systems do.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <new>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "csrc/memory/symmetric_heap.h"
#include "switchyard/error.h"
#include "tests/support/process.h"

namespace switchyard::memory {
namespace {

using std::chrono::milliseconds;
using test::kSuccess;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kMiB = 1 << 20;

/// Names of heaps in /dev/shm, whoever made them.
std::set<std::string> named_heaps() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    const std::string name = entry.path().filename();
    if (name.starts_with("switchyard-")) {
      names.insert(name);
    }
  }
  return names;
}

/// Names that were not there `before` and stay. Other groups of this machine, of tests that run at
/// the same time say, have names for a moment only.
std::set<std::string> left_names(const std::set<std::string>& before) {
  std::set<std::string> left = named_heaps();
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const std::set<std::string> now = named_heaps();
    std::erase_if(left,
                  [&](const auto& name) { return before.contains(name) || !now.contains(name); });
    if (left.empty()) {
      break;
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  return left;
}

/// Every rank marks its heap, and checks the marks of all.
void share_and_check(Bootstrap& bootstrap, const SymmetricHeap& heap) {
  const protocol::Peers peers = heap.peers();
  const std::uint64_t last = heap.heap_bytes() - 1;
  *peers.local(0) = static_cast<std::byte>(bootstrap.rank() + 1);
  *peers.local(last) = static_cast<std::byte>(bootstrap.rank() + 101);
  bootstrap.barrier();
  for (int peer = 0; peer < bootstrap.num_ranks(); ++peer) {
    EXPECT_EQ(*peers.at(peer, 0), static_cast<std::byte>(peer + 1));
    EXPECT_EQ(*peers.at(peer, last), static_cast<std::byte>(peer + 101));
  }
  bootstrap.barrier();
}

/// Goes on in a child of this process, in a PID namespace of its own. Each of the two ends with the
/// other.
void enter_own_pid_namespace() {
  if (::unshare(CLONE_NEWPID) != 0) {
    throw std::runtime_error("cannot make a PID namespace");
  }
  const pid_t child = ::fork();
  if (child < 0) {
    throw std::runtime_error("cannot fork into the PID namespace");
  }
  if (child > 0) {
    int status = 0;
    ::waitpid(child, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : test::kThrew);
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/// Makes the kernel refuse nameless files to this process, as some file systems and sandboxes do.
void refuse_nameless_files() {
  constexpr std::uint32_t kFlagsOffset = offsetof(seccomp_data, args) + 2 * sizeof(std::uint64_t);
  constexpr std::uint32_t kOwnBitOfTmpfile = O_TMPFILE & ~O_DIRECTORY;
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFlagsOffset),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kOwnBitOfTmpfile, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{.len = std::size(filter), .filter = filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 ||
      ::open("/dev/shm", O_TMPFILE | O_RDWR, 0600) != -1 || errno != EOPNOTSUPP) {
    throw std::runtime_error("cannot refuse nameless files");
  }
}

/// Puts a /dev/shm of `bytes` in place of the machine's, for this process and its children alone.
void mount_private_dev_shm(std::uint64_t bytes) {
  const std::string size = "size=" + std::to_string(bytes);
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", "/dev/shm", "tmpfs", 0, size.c_str()) != 0) {
    throw std::runtime_error(std::string("cannot mount a tmpfs: ") + std::strerror(errno));
  }
}

/// Runs `body` in a process of its own, for what would change this one.
test::ProcessExit run_aside(const std::function<void()>& body) {
  test::Processes process;
  process.start(body);
  return process.wait().front();
}

bool may_make_namespaces() {
  return run_aside([] {
           if (::unshare(CLONE_NEWNS | CLONE_NEWPID) != 0) {
             ::_exit(1);
           }
         }) == kSuccess;
}

constexpr const char* kNeedsNamespaces =
    "needs the right to make mount and PID namespaces (root outside a container)";

TEST(SharedMemory, IsSharedByProcessesAndLeavesNoName) {
  const auto before = named_heaps();
  for (const int num_ranks : {2, 3, 7}) {
    EXPECT_THAT(test::run_ranks(num_ranks,
                                [&](Bootstrap& bootstrap) {
                                  const auto heap =
                                      SymmetricHeap::create(bootstrap, {.heap_bytes = 3 * kMiB});
                                  EXPECT_THAT(heap->describe(), HasSubstr("shared memory"));
                                  EXPECT_THAT(left_names(before), IsEmpty());
                                  share_and_check(bootstrap, *heap);
                                }),
                Each(kSuccess));
  }
  EXPECT_THAT(left_names(before), IsEmpty());
}

TEST(SharedMemory, OutlivesItsOwnerForThePeers) {
  test::Processes processes;
  test::start_ranks(processes, 3, [](Bootstrap& bootstrap) {
    const auto heap = SymmetricHeap::create(bootstrap, {.heap_bytes = kMiB});
    share_and_check(bootstrap, *heap);
    if (bootstrap.rank() == 1) {
      ::raise(SIGKILL);
    }
    EXPECT_THROW(bootstrap.barrier(), BootstrapError);
    EXPECT_EQ(*heap->peers().at(1, 0), std::byte{2});
    *heap->peers().at(1, kMiB - 1) = std::byte{77};
    EXPECT_EQ(*heap->peers().at(1, kMiB - 1), std::byte{77});
  });
  const auto exits = processes.wait();
  EXPECT_EQ(exits[0], kSuccess);
  EXPECT_EQ(exits[1].signal, SIGKILL);
  EXPECT_EQ(exits[2], kSuccess);
}

TEST(SharedMemory, ThrowsWhenTheKindIsInProcessAndRanksAreProcesses) {
  EXPECT_THAT(test::run_ranks(
                  2,
                  [](Bootstrap& bootstrap) {
                    EXPECT_THROW(SymmetricHeap::create(
                                     bootstrap, {.heap_bytes = kMiB, .kind = HeapKind::kInProcess}),
                                 InvalidArgument);
                  }),
              Each(kSuccess));
}

TEST(SharedMemory, IsSharedByNameWhenPidNamespacesDiffer) {
  if (!may_make_namespaces()) {
    GTEST_SKIP() << kNeedsNamespaces;
  }
  const auto before = named_heaps();
  EXPECT_THAT(test::run_ranks(4,
                              [&](Bootstrap& bootstrap) {
                                enter_own_pid_namespace();
                                const auto heap =
                                    SymmetricHeap::create(bootstrap, {.heap_bytes = kMiB});
                                share_and_check(bootstrap, *heap);
                                EXPECT_THAT(left_names(before), IsEmpty());
                              }),
              Each(kSuccess));
  EXPECT_THAT(left_names(before), IsEmpty());
}

TEST(SharedMemory, IsSharedWhenTheFileSystemKnowsNoNamelessFiles) {
  const auto before = named_heaps();
  EXPECT_THAT(test::run_ranks(3,
                              [&](Bootstrap& bootstrap) {
                                refuse_nameless_files();
                                const auto heap =
                                    SymmetricHeap::create(bootstrap, {.heap_bytes = kMiB});
                                share_and_check(bootstrap, *heap);
                                EXPECT_THAT(left_names(before), IsEmpty());
                              }),
              Each(kSuccess));
}

TEST(SharedMemory, IsSharedByNameWhenFilesAlwaysHaveOneAndPidNamespacesDiffer) {
  if (!may_make_namespaces()) {
    GTEST_SKIP() << kNeedsNamespaces;
  }
  const auto before = named_heaps();
  EXPECT_THAT(test::run_ranks(3,
                              [&](Bootstrap& bootstrap) {
                                enter_own_pid_namespace();
                                refuse_nameless_files();
                                const auto heap =
                                    SymmetricHeap::create(bootstrap, {.heap_bytes = kMiB});
                                share_and_check(bootstrap, *heap);
                                EXPECT_THAT(left_names(before), IsEmpty());
                              }),
              Each(kSuccess));
}

TEST(SharedMemory, ThrowsOnEveryRankWhenRanksHaveDifferentDevShm) {
  if (!may_make_namespaces()) {
    GTEST_SKIP() << kNeedsNamespaces;
  }
  const auto before = named_heaps();
  EXPECT_THAT(test::run_ranks(3,
                              [](Bootstrap& bootstrap) {
                                enter_own_pid_namespace();
                                if (bootstrap.rank() == 1) {
                                  mount_private_dev_shm(64 * kMiB);
                                }
                                EXPECT_THROW(SymmetricHeap::create(bootstrap, {.heap_bytes = kMiB}),
                                             SystemError);
                              }),
              Each(kSuccess));
  EXPECT_THAT(left_names(before), IsEmpty());
}

TEST(SharedMemory, SaysWhatIsMissingOnEveryRankWhenDevShmIsFull) {
  if (!may_make_namespaces()) {
    GTEST_SKIP() << kNeedsNamespaces;
  }
  const auto whole = [] {
    mount_private_dev_shm(16 * kMiB);
    const auto exits = test::run_ranks(3, [](Bootstrap& bootstrap) {
      const HeapOptions too_large{.heap_bytes = 6 * kMiB, .use_huge_pages = false};
      try {
        SymmetricHeap::create(bootstrap, too_large);
        ADD_FAILURE() << "three heaps of 6 MiB fitted into 16 MiB";
      } catch (const SystemError& error) {
        EXPECT_EQ(error.system_errno(), ENOSPC);
        EXPECT_THAT(error.what(),
                    AllOf(HasSubstr("a heap of 6 MiB in /dev/shm"),
                          HasSubstr("3 ranks need 18 MiB"),
                          HasSubstr("of 16 MiB are free"),
                          HasSubstr("--shm-size")));
      }
      bootstrap.barrier();  // all have given back what they got before anybody asks again
      const HeapOptions fits{.heap_bytes = 5 * kMiB, .use_huge_pages = false};
      share_and_check(bootstrap, *SymmetricHeap::create(bootstrap, fits));
    });
    EXPECT_THAT(exits, Each(kSuccess));
  };
  EXPECT_EQ(run_aside(whole), kSuccess);
}

/// A number that forked processes share.
class SharedCounter {
 public:
  SharedCounter() {
    void* page = ::mmap(nullptr,
                        sizeof(std::atomic<int>),
                        PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS,
                        -1,
                        0);
    value_ = new (page) std::atomic<int>(0);
  }
  SharedCounter(const SharedCounter&) = delete;
  SharedCounter& operator=(const SharedCounter&) = delete;
  ~SharedCounter() { ::munmap(value_, sizeof(std::atomic<int>)); }

  void add() { ++*value_; }
  void wait_for(int wanted) const {
    while (value_->load() < wanted) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

 private:
  std::atomic<int>* value_;
};

/// Builds heaps until a peer dies. How that ends is not the matter here, only that it does.
void build_heaps_until_a_peer_dies(Bootstrap& bootstrap) {
  try {
    for (;;) {
      SymmetricHeap::create(bootstrap, {.heap_bytes = 2 * kMiB});
    }
  } catch (const Error&) {
  }
}

/// Kills one rank at a random moment of the set-up, many times. The others must end soon, and no
/// name may be left.
void kill_during_set_up(int num_rounds, std::uint64_t longest_life_us, bool own_pid_namespaces) {
  std::mt19937_64 random(20240712);
  const auto before = named_heaps();
  for (int round = 0; round < num_rounds; ++round) {
    SharedCounter num_joined;
    test::Processes processes;
    test::start_ranks(processes, 3, [&](Bootstrap& bootstrap) {
      if (own_pid_namespaces) {
        enter_own_pid_namespace();
      }
      num_joined.add();
      build_heaps_until_a_peer_dies(bootstrap);
    });
    num_joined.wait_for(3);
    const std::uint64_t life_us = random() % longest_life_us;
    std::this_thread::sleep_for(std::chrono::microseconds(life_us));
    processes.signal(static_cast<int>(random() % 3), SIGKILL);
    for (const test::ProcessExit& exit : processes.wait(milliseconds(30'000))) {
      ASSERT_FALSE(exit.was_overdue) << "round " << round << ", killed after " << life_us << " us";
    }
    ASSERT_THAT(left_names(before), IsEmpty()) << "round " << round;
  }
}

TEST(SharedMemory, LeavesNoNameWhenARankIsKilledDuringSetUp) {
  kill_during_set_up(60, 10'000, false);
}

TEST(SharedMemory, LeavesNoNameWhenARankIsKilledWhileNamesAreNeeded) {
  if (!may_make_namespaces()) {
    GTEST_SKIP() << kNeedsNamespaces;
  }
  kill_during_set_up(60, 20'000, true);
}

}  // namespace
}  // namespace switchyard::memory
