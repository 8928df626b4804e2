// One suite for both kinds of symmetric heap, with threads as ranks; tests/process/ runs them
// between processes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "csrc/bootstrap/unique_fd.h"
#include "csrc/memory/symmetric_heap.h"
#include "csrc/memory/system_memory.h"
#include "switchyard/error.h"
#include "tests/support/rank_threads.h"

namespace switchyard::memory {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1 << 20;

using RankBody = std::function<void(Bootstrap&)>;

std::vector<std::string> run(int num_ranks, const RankBody& body) {
  auto bootstraps = make_in_process_bootstraps(num_ranks);
  return test::run_rank_threads(num_ranks, [&](int rank) {
    const auto bootstrap = std::move(bootstraps[static_cast<std::size_t>(rank)]);
    body(*bootstrap);
  });
}

/// Whether one byte at `address` can be read, without dying if not.
bool is_readable(const std::byte* address) {
  int fds[2];
  if (::pipe(fds) != 0) {
    throw std::runtime_error("cannot make a pipe");
  }
  const bootstrap::UniqueFd out(fds[0]);
  const bootstrap::UniqueFd in(fds[1]);
  return ::write(in.get(), address, 1) == 1;
}

class HeapConformance : public ::testing::TestWithParam<HeapKind> {
 protected:
  static HeapOptions options(std::uint64_t heap_bytes) {
    return {.heap_bytes = heap_bytes, .kind = GetParam()};
  }
  static std::unique_ptr<SymmetricHeap> create(Bootstrap& bootstrap, std::uint64_t heap_bytes) {
    return SymmetricHeap::create(bootstrap, options(heap_bytes));
  }
};

TEST_P(HeapConformance, IsZeroAndOfTheAskedSizeWhenFresh) {
  EXPECT_THAT(run(3,
                  [](Bootstrap& bootstrap) {
                    const auto heap = create(bootstrap, kMiB + 1);
                    EXPECT_GE(heap->heap_bytes(), kMiB + 1);
                    EXPECT_EQ(heap->heap_bytes() % 4096, 0U);
                    const std::byte* mine = heap->peers().local(0);
                    EXPECT_TRUE(std::all_of(mine, mine + heap->heap_bytes(), [](std::byte b) {
                      return b == std::byte{};
                    }));
                  }),
              Each(""));
}

TEST_P(HeapConformance, ShowsEveryRanksStoresToAllAtTheSameOffset) {
  for (const int num_ranks : {1, 2, 5, 16}) {
    EXPECT_THAT(run(num_ranks,
                    [&](Bootstrap& bootstrap) {
                      const auto heap = create(bootstrap, kMiB);
                      const protocol::Peers peers = heap->peers();
                      EXPECT_EQ(peers.rank, bootstrap.rank());
                      EXPECT_EQ(peers.num_ranks, num_ranks);
                      const auto fill = static_cast<std::byte>(bootstrap.rank() + 1);
                      *peers.local(0) = fill;
                      *peers.local(heap->heap_bytes() - 1) = fill;
                      bootstrap.barrier();
                      for (int peer = 0; peer < num_ranks; ++peer) {
                        const auto wanted = static_cast<std::byte>(peer + 1);
                        EXPECT_EQ(*peers.at(peer, 0), wanted);
                        EXPECT_EQ(*peers.at(peer, heap->heap_bytes() - 1), wanted);
                        EXPECT_EQ(peers.rank_of(peers.at(peer, 77)), peer);
                      }
                      bootstrap.barrier();
                    }),
                Each(""));
  }
}

TEST_P(HeapConformance, LetsAPeerStoreIntoAnotherRanksHeap) {
  EXPECT_THAT(run(4,
                  [](Bootstrap& bootstrap) {
                    const auto heap = create(bootstrap, kMiB);
                    const protocol::Peers peers = heap->peers();
                    const auto mine = static_cast<std::uint64_t>(bootstrap.rank());
                    for (int peer = 0; peer < 4; ++peer) {
                      *peers.at(peer, 64 * mine) = static_cast<std::byte>(10 * mine + 3);
                    }
                    bootstrap.barrier();
                    for (std::uint64_t source = 0; source < 4; ++source) {
                      EXPECT_EQ(*peers.local(64 * source), static_cast<std::byte>(10 * source + 3));
                    }
                    bootstrap.barrier();
                  }),
              Each(""));
}

TEST_P(HeapConformance, FaultsWhenAnAccessRunsOverTheEndOfAHeap) {
  // The size that fills its stride best leaves the smallest gap.
  for (const std::uint64_t heap_bytes : {std::uint64_t{4096}, 2 * kMiB - 4096, 2 * kMiB}) {
    EXPECT_THAT(run(3,
                    [&](Bootstrap& bootstrap) {
                      const auto heap = create(bootstrap, heap_bytes);
                      const protocol::Peers peers = heap->peers();
                      for (int peer = 0; peer < 3; ++peer) {
                        EXPECT_TRUE(is_readable(peers.at(peer, 0)));
                        EXPECT_TRUE(is_readable(peers.at(peer, heap->heap_bytes() - 1)));
                        EXPECT_FALSE(is_readable(peers.at(peer, heap->heap_bytes())));
                      }
                      bootstrap.barrier();
                    }),
                Each(""));
  }
}

TEST_P(HeapConformance, StaysMappedForARankWhenTheOthersHaveLetGo) {
  EXPECT_THAT(run(3,
                  [](Bootstrap& bootstrap) {
                    auto heap = create(bootstrap, kMiB);
                    *heap->peers().local(5) = static_cast<std::byte>(bootstrap.rank() + 1);
                    bootstrap.barrier();
                    if (bootstrap.rank() != 2) {
                      heap.reset();
                    }
                    bootstrap.barrier();
                    if (bootstrap.rank() == 2) {
                      EXPECT_EQ(*heap->peers().at(0, 5), std::byte{1});
                      EXPECT_EQ(*heap->peers().at(1, 5), std::byte{2});
                    }
                  }),
              Each(""));
}

TEST_P(HeapConformance, CanBeBuiltAgainWhenTheGroupIsTheSame) {
  EXPECT_THAT(run(2,
                  [](Bootstrap& bootstrap) {
                    for (int round = 0; round < 20; ++round) {
                      const auto heap = create(bootstrap, kMiB);
                      EXPECT_EQ(*heap->peers().at(1 - bootstrap.rank(), 9), std::byte{});
                      bootstrap.barrier();
                      *heap->peers().local(9) = std::byte{1};
                    }
                  }),
              Each(""));
}

TEST_P(HeapConformance, SaysItsKindAndPageSize) {
  EXPECT_THAT(run(1,
                  [](Bootstrap& bootstrap) {
                    const std::string text = create(bootstrap, kMiB)->describe();
                    EXPECT_THAT(text, HasSubstr("page"));
                    EXPECT_THAT(text,
                                HasSubstr(GetParam() == HeapKind::kSharedMemory ? "shared memory"
                                                                                : "one process"));
                  }),
              Each(""));
}

TEST_P(HeapConformance, WorksWhenHugePagesAreNotWanted) {
  EXPECT_THAT(run(2,
                  [](Bootstrap& bootstrap) {
                    HeapOptions plain = options(3 * kMiB);
                    plain.use_huge_pages = false;
                    const auto heap = SymmetricHeap::create(bootstrap, plain);
                    EXPECT_THAT(heap->describe(), ::testing::Not(HasSubstr("huge")));
                    *heap->peers().local(3 * kMiB - 1) = std::byte{7};
                    bootstrap.barrier();
                    EXPECT_EQ(*heap->peers().at(1 - bootstrap.rank(), 3 * kMiB - 1), std::byte{7});
                    bootstrap.barrier();
                  }),
              Each(""));
}

TEST_P(HeapConformance, UsesReservedHugePagesWhenEnoughAreFreeForAllRanks) {
  const SystemMemory memory = read_system_memory();
  if (memory.huge_page_bytes == 0 || memory.num_free_huge_pages < 2) {
    GTEST_SKIP() << "needs two free huge pages; as root: echo 16 > /proc/sys/vm/nr_hugepages";
  }
  const std::uint64_t too_much = memory.huge_page_bytes * memory.num_free_huge_pages;
  EXPECT_THAT(run(2,
                  [&](Bootstrap& bootstrap) {
                    auto heap = create(bootstrap, 1);
                    EXPECT_THAT(heap->describe(), HasSubstr("reserved"));
                    EXPECT_EQ(heap->heap_bytes(), memory.huge_page_bytes);
                    *heap->peers().local(memory.huge_page_bytes - 1) = std::byte{5};
                    bootstrap.barrier();
                    const int peer = 1 - bootstrap.rank();
                    EXPECT_EQ(*heap->peers().at(peer, memory.huge_page_bytes - 1), std::byte{5});
                    EXPECT_FALSE(is_readable(heap->peers().at(peer, memory.huge_page_bytes)));
                    bootstrap.barrier();
                    heap.reset();
                    bootstrap.barrier();
                    heap = create(bootstrap, too_much);
                    EXPECT_THAT(heap->describe(), ::testing::Not(HasSubstr("reserved")));
                  }),
              Each(""));
}

TEST_P(HeapConformance, NamesTheOtherRankWhenSizesDiffer) {
  EXPECT_THAT(run(3,
                  [](Bootstrap& bootstrap) {
                    try {
                      create(bootstrap, bootstrap.rank() == 1 ? 2 * kMiB : kMiB);
                      ADD_FAILURE() << "ranks with different sizes got a heap";
                    } catch (const ConfigMismatch& error) {
                      EXPECT_EQ(error.rank(), bootstrap.rank() == 1 ? 0 : 1);
                      EXPECT_THAT(error.what(), HasSubstr("2097152"));
                      EXPECT_THAT(error.what(), HasSubstr("1048576"));
                    }
                    EXPECT_NE(create(bootstrap, kMiB), nullptr);  // the group stays usable
                  }),
              Each(""));
}

TEST_P(HeapConformance, NamesTheOtherRankWhenKindOrPagesDiffer) {
  EXPECT_THAT(run(2,
                  [](Bootstrap& bootstrap) {
                    HeapOptions odd = options(kMiB);
                    odd.use_huge_pages = bootstrap.rank() == 0;
                    EXPECT_THROW(SymmetricHeap::create(bootstrap, odd), ConfigMismatch);
                    odd = options(kMiB);
                    odd.kind = bootstrap.rank() == 0 ? HeapKind::kAuto : GetParam();
                    EXPECT_THROW(SymmetricHeap::create(bootstrap, odd), ConfigMismatch);
                  }),
              Each(""));
}

TEST_P(HeapConformance, ThrowsInvalidArgumentOnEveryRankWhenTheSizeIsImpossible) {
  EXPECT_THAT(run(2,
                  [](Bootstrap& bootstrap) {
                    EXPECT_THROW(create(bootstrap, 0), InvalidArgument);
                    EXPECT_THROW(create(bootstrap, ~std::uint64_t{0}), InvalidArgument);
                    EXPECT_THROW(create(bootstrap, std::uint64_t{1} << 46), InvalidArgument);
                    EXPECT_NE(create(bootstrap, kMiB), nullptr);
                  }),
              Each(""));
}

INSTANTIATE_TEST_SUITE_P(Kinds,
                         HeapConformance,
                         ::testing::Values(HeapKind::kInProcess, HeapKind::kSharedMemory),
                         [](const auto& kind) {
                           return kind.param == HeapKind::kInProcess ? "InProcess" : "SharedMemory";
                         });

TEST(SymmetricHeap, IsInProcessWhenTheKindIsAutoAndRanksAreThreads) {
  EXPECT_THAT(run(2,
                  [](Bootstrap& bootstrap) {
                    const auto heap = SymmetricHeap::create(bootstrap, {.heap_bytes = kMiB});
                    EXPECT_THAT(heap->describe(), HasSubstr("one process"));
                  }),
              Each(""));
}

TEST(SymmetricHeap, ThrowsOnEveryRankWhenSharedMemoryExceedsTheMachine) {
  constexpr std::uint64_t kHeapBytes = std::uint64_t{1} << 42;
  EXPECT_THAT(run(3,
                  [](Bootstrap& bootstrap) {
                    try {
                      SymmetricHeap::create(
                          bootstrap, {.heap_bytes = kHeapBytes, .kind = HeapKind::kSharedMemory});
                      ADD_FAILURE() << "got more memory than the machine has";
                    } catch (const SystemError& error) {
                      EXPECT_EQ(error.system_errno(), ENOMEM);
                      EXPECT_THAT(error.what(),
                                  HasSubstr("heaps of 4 TiB for 3 ranks need 12 TiB"));
                    }
                    EXPECT_NE(SymmetricHeap::create(
                                  bootstrap, {.heap_bytes = kMiB, .kind = HeapKind::kSharedMemory}),
                              nullptr);
                  }),
              Each(""));
}

}  // namespace
}  // namespace switchyard::memory
