// The promises of a symmetric heap, kept in GPU memory: by threads of one process and by processes,
// on this machine's GPU where it has one, and on the fake driver everywhere.
#include "csrc/memory/cuda/cuda_heap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <string>
#include <tuple>

#include "switchyard/error.h"
#include "tests/gpu/gpu_ranks.h"
#include "tests/gpu/heap_kernels.h"

namespace switchyard::memory {
namespace {

using test::Driver;
using ::testing::AnyOf;
using ::testing::Combine;
using ::testing::HasSubstr;
using ::testing::Values;

constexpr std::uint64_t kMiB = 1 << 20;

std::size_t num_open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

enum class Ranks : std::uint8_t { kThreads, kProcesses };

class CudaHeap : public ::testing::TestWithParam<std::tuple<Driver, Ranks>> {
 protected:
  void SetUp() override {
    if (driver() == Driver::kReal) {
      const std::string reason = test::why_no_gpu();
      if (!reason.empty()) {
        GTEST_SKIP() << reason;
      }
    }
  }

  static Driver driver() { return std::get<Driver>(GetParam()); }
  static Ranks ranks() { return std::get<Ranks>(GetParam()); }

  static void run(int num_ranks, const std::function<void(Bootstrap&)>& body) {
    if (ranks() == Ranks::kThreads) {
      test::run_gpu_threads(num_ranks, body);
    } else {
      test::run_gpu_processes(num_ranks, body);
    }
  }
  static std::unique_ptr<SymmetricHeap> create(Bootstrap& bootstrap, std::uint64_t heap_bytes) {
    return test::create_heap(driver(), bootstrap, {.heap_bytes = heap_bytes});
  }
  static void write(std::byte* to, int value) {
    test::write_byte(driver(), to, static_cast<std::byte>(value));
  }
  static int read(const std::byte* from) {
    return static_cast<int>(test::read_byte(driver(), from));
  }
};

TEST_P(CudaHeap, IsZeroAndOfWholePagesWhenFreshEvenWhereAnotherHeapWas) {
  run(2, [](Bootstrap& bootstrap) {
    for (int round = 0; round < 2; ++round) {
      const auto heap = create(bootstrap, 3 * kMiB + 1);
      EXPECT_GE(heap->heap_bytes(), 3 * kMiB + 1);
      EXPECT_EQ(heap->heap_bytes() % (2 * kMiB), 0U);
      std::byte* mine = heap->peers().local(0);
      const auto fresh = test::read_bytes(driver(), mine, heap->heap_bytes());
      EXPECT_EQ(std::count(fresh.begin(), fresh.end(), std::byte{}),
                static_cast<std::ptrdiff_t>(fresh.size()));
      test::write_bytes(driver(), mine, std::vector<std::byte>(fresh.size(), std::byte{0xee}));
      bootstrap.barrier();
    }
  });
}

TEST_P(CudaHeap, ShowsEveryRanksStoresToAllAtTheSameOffset) {
  for (const int num_ranks : {1, 2, 3, 8}) {
    run(num_ranks, [num_ranks](Bootstrap& bootstrap) {
      const auto heap = create(bootstrap, 2 * kMiB);
      const protocol::Peers peers = heap->peers();
      EXPECT_EQ(peers.rank, bootstrap.rank());
      EXPECT_EQ(peers.num_ranks, num_ranks);
      write(peers.local(0), bootstrap.rank() + 1);
      write(peers.local(heap->heap_bytes() - 1), bootstrap.rank() + 1);
      bootstrap.barrier();
      for (int peer = 0; peer < num_ranks; ++peer) {
        EXPECT_EQ(read(peers.at(peer, 0)), peer + 1);
        EXPECT_EQ(read(peers.at(peer, heap->heap_bytes() - 1)), peer + 1);
        EXPECT_EQ(peers.rank_of(peers.at(peer, 77)), peer);
      }
      bootstrap.barrier();
    });
  }
}

TEST_P(CudaHeap, LetsAPeerStoreIntoAnotherRanksHeap) {
  run(4, [](Bootstrap& bootstrap) {
    const auto heap = create(bootstrap, 2 * kMiB);
    const protocol::Peers peers = heap->peers();
    const auto mine = static_cast<std::uint64_t>(bootstrap.rank());
    for (int peer = 0; peer < 4; ++peer) {
      write(peers.at(peer, 64 * mine), bootstrap.rank() * 10 + 3);
    }
    bootstrap.barrier();
    for (int source = 0; source < 4; ++source) {
      EXPECT_EQ(read(peers.local(64 * static_cast<std::uint64_t>(source))), source * 10 + 3);
    }
    bootstrap.barrier();
  });
}

TEST_P(CudaHeap, LeavesAPageOfNothingBehindEachHeap) {
  run(2, [](Bootstrap& bootstrap) {
    const auto heap = create(bootstrap, 4 * kMiB);
    EXPECT_GE(heap->peers().stride_bytes, heap->heap_bytes() + 2 * kMiB);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(heap->peers().base) % (2 * kMiB), 0U);
  });
}

TEST_P(CudaHeap, StaysMappedForARankWhenTheOthersHaveLetGo) {
  run(3, [](Bootstrap& bootstrap) {
    auto heap = create(bootstrap, kMiB);
    write(heap->peers().local(5), bootstrap.rank() + 1);
    bootstrap.barrier();
    if (bootstrap.rank() != 2) {
      heap.reset();
    }
    bootstrap.barrier();
    if (bootstrap.rank() == 2) {
      EXPECT_EQ(read(heap->peers().at(0, 5)), 1);
      EXPECT_EQ(read(heap->peers().at(1, 5)), 2);
    }
  });
}

TEST_P(CudaHeap, LeavesNoDescriptorOpenHoweverOftenItIsMade) {
  run(2, [](Bootstrap& bootstrap) {
    const auto count_in_turn =
        [&bootstrap] {  // counting opens a descriptor, and threads share them
          std::size_t count = 0;
          for (int rank = 0; rank < 2; ++rank) {
            bootstrap.barrier();
            count = rank == bootstrap.rank() ? num_open_descriptors() : count;
          }
          bootstrap.barrier();
          return count;
        };
    (void)create(bootstrap, kMiB);  // the driver keeps some of its own from here on
    const std::size_t before = count_in_turn();
    for (int round = 0; round < 10; ++round) {
      (void)create(bootstrap, kMiB);
    }
    EXPECT_EQ(count_in_turn(), before);
  });
}

TEST_P(CudaHeap, SaysHowItIsSharedAndOnWhichGpus) {
  run(2, [](Bootstrap& bootstrap) {
    const std::string text = create(bootstrap, kMiB)->describe();
    EXPECT_THAT(text, HasSubstr("GPU memory"));
    EXPECT_THAT(text, HasSubstr("2 MiB pages, 1 GPU"));
    if (ranks() == Ranks::kThreads) {
      EXPECT_THAT(text, HasSubstr("of one process"));
    } else {
      EXPECT_THAT(text, AnyOf(HasSubstr("fabric handles"), HasSubstr("descriptors")));
    }
  });
}

TEST_P(CudaHeap, NamesTheOtherRankWhenSizesDiffer) {
  run(3, [](Bootstrap& bootstrap) {
    try {
      create(bootstrap, bootstrap.rank() == 1 ? 2 * kMiB : kMiB);
      ADD_FAILURE() << "ranks with different sizes got a heap";
    } catch (const ConfigMismatch& error) {
      EXPECT_EQ(error.rank(), bootstrap.rank() == 1 ? 0 : 1);
      EXPECT_THAT(error.what(), HasSubstr("2097152"));
    }
    EXPECT_NE(create(bootstrap, kMiB), nullptr);  // the group stays usable
  });
}

TEST_P(CudaHeap, ThrowsOnEveryRankWhenOneNamesADeviceThatIsNotThere) {
  run(2, [](Bootstrap& bootstrap) {
    try {
      test::create_heap(
          driver(), bootstrap, {.heap_bytes = kMiB, .device = bootstrap.rank() == 1 ? 1000 : 0});
      ADD_FAILURE() << "got a heap on a GPU that is not there";
    } catch (const InvalidArgument& error) {
      EXPECT_THAT(error.what(), HasSubstr("rank 1: device: got 1000, wanted 0 to"));
    }
    EXPECT_NE(create(bootstrap, kMiB), nullptr);
  });
}

TEST_P(CudaHeap, SaysWhatIsFreeWhenTheGpuIsTooSmall) {
  run(2, [](Bootstrap& bootstrap) {
    try {
      create(bootstrap, std::uint64_t{1} << 42);
      ADD_FAILURE() << "got more memory than a GPU has";
    } catch (const SystemError& error) {
      EXPECT_EQ(error.system_errno(), ENOMEM);
      EXPECT_THAT(error.what(), HasSubstr("GPU 0 has no memory for a heap of 4 TiB"));
      EXPECT_THAT(error.what(), HasSubstr("are free; lower heap_bytes"));
    }
    EXPECT_NE(create(bootstrap, kMiB), nullptr);
  });
}

std::string name_of(Driver driver, Ranks ranks) {
  return std::string(driver == Driver::kFake ? "Fake" : "Gpu") +
         (ranks == Ranks::kThreads ? "Threads" : "Processes");
}

INSTANTIATE_TEST_SUITE_P(Drivers,
                         CudaHeap,
                         Combine(Values(Driver::kFake, Driver::kReal),
                                 Values(Ranks::kThreads, Ranks::kProcesses)),
                         [](const auto& made) {
                           return name_of(std::get<Driver>(made.param),
                                          std::get<Ranks>(made.param));
                         });

/// What only a GPU can show.
class CudaHeapOnGpu : public CudaHeap {};

TEST_P(CudaHeapOnGpu, CarriesLoadsAndStoresOfKernels) {
  for (const int num_ranks : {1, 2, 8}) {
    run(num_ranks, [num_ranks](Bootstrap& bootstrap) {
      constexpr std::uint64_t kWords = 4096;
      const auto heap = create(bootstrap, 2 * kMiB);
      const protocol::Peers peers = heap->peers();
      const auto place_of = [](int writer) {
        return static_cast<std::uint64_t>(writer) * kWords * sizeof(std::uint64_t);
      };
      for (int owner = 0; owner < num_ranks; ++owner) {
        test::store_pattern(peers, owner, place_of(peers.rank), kWords);
      }
      bootstrap.barrier();
      for (int owner = 0; owner < num_ranks; ++owner) {
        for (int writer = 0; writer < num_ranks; ++writer) {
          EXPECT_EQ(test::count_wrong(peers, writer, owner, place_of(writer), kWords), 0U);
        }
      }
      bootstrap.barrier();
    });
  }
}

TEST_P(CudaHeapOnGpu, SpansTheGpusOfAMachine) {
  const int num_gpus = test::num_gpus();
  if (num_gpus < 2) {
    GTEST_SKIP() << "needs two GPUs, there are " << num_gpus;
  }
  run(num_gpus, [](Bootstrap& bootstrap) {
    test::use_device(bootstrap.rank());  // between processes, only the rank's own GPU may copy
    const auto heap =
        test::create_heap(driver(), bootstrap, {.heap_bytes = kMiB, .device = bootstrap.rank()});
    write(heap->peers().local(9), bootstrap.rank() + 1);
    bootstrap.barrier();
    for (int peer = 0; peer < bootstrap.num_ranks(); ++peer) {
      EXPECT_EQ(read(heap->peers().at(peer, 9)), peer + 1);
    }
    bootstrap.barrier();
  });
}

INSTANTIATE_TEST_SUITE_P(Drivers,
                         CudaHeapOnGpu,
                         Combine(Values(Driver::kReal), Values(Ranks::kThreads, Ranks::kProcesses)),
                         [](const auto& made) {
                           return name_of(std::get<Driver>(made.param),
                                          std::get<Ranks>(made.param));
                         });

TEST(CudaHeapWithoutGpu, FailsOnEveryRankWithTheDriversWordsAndWhatToDo) {
  if (test::why_no_gpu().empty()) {
    GTEST_SKIP() << "there is a GPU";
  }
  test::run_gpu_threads(2, [](Bootstrap& bootstrap) {
    for (int round = 0; round < 2; ++round) {  // the group stays usable
      try {
        create_cuda_heap(bootstrap, {.heap_bytes = kMiB});
        ADD_FAILURE() << "got a heap in GPU memory without a GPU";
      } catch (const SystemError& error) {
        EXPECT_EQ(error.system_errno(), ENODEV);
        EXPECT_THAT(error.what(), HasSubstr("rank 0: no heap in GPU memory: "));
        EXPECT_THAT(error.what(), HasSubstr(": CUDA driver version is insufficient"));
        EXPECT_THAT(error.what(), AnyOf(HasSubstr("install it"), HasSubstr("update the driver")));
      }
    }
  });
}

}  // namespace
}  // namespace switchyard::memory
