// What heaps make of machines that differ: no peer access, no descriptors, fabric handles that are
// promised and refused, GPUs that other processes number otherwise. On the fake driver.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "csrc/memory/cuda/gpu_topology.h"
#include "switchyard/error.h"
#include "tests/gpu/fake_driver.h"
#include "tests/gpu/gpu_ranks.h"

namespace switchyard::memory {
namespace {

using test::Driver;
using test::fake_holdings;
using test::FakeHoldings;
using test::FakeMachine;
using test::set_fake_machine;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1 << 20;

std::unique_ptr<SymmetricHeap> create(Bootstrap& bootstrap, const CudaHeapOptions& options) {
  return test::create_heap(Driver::kFake, bootstrap, options);
}

/// Writes to every peer and reads what all have written.
void exchange_bytes(Bootstrap& bootstrap, const SymmetricHeap& heap) {
  const protocol::Peers peers = heap.peers();
  const auto mine = static_cast<std::uint64_t>(peers.rank);
  for (int peer = 0; peer < peers.num_ranks; ++peer) {
    EXPECT_EQ(*peers.at(peer, mine), std::byte{});
    *peers.at(peer, mine) = static_cast<std::byte>(peers.rank + 1);
  }
  bootstrap.barrier();
  for (int source = 0; source < peers.num_ranks; ++source) {
    EXPECT_EQ(*peers.local(static_cast<std::uint64_t>(source)), static_cast<std::byte>(source + 1));
  }
  bootstrap.barrier();
}

/// What creation throws as SystemError.
std::string refusal(Bootstrap& bootstrap, const CudaHeapOptions& options, int wanted_errno) {
  try {
    (void)create(bootstrap, options);
  } catch (const SystemError& error) {
    EXPECT_EQ(error.system_errno(), wanted_errno);
    return error.what();
  }
  return "no SystemError";
}

TEST(CudaHeapMachines, GivesEverythingBackToTheDriver) {
  test::run_gpu_processes(3, [](Bootstrap& bootstrap) {
    set_fake_machine({.num_devices = 3, .has_fabric = true, .fabric_is_permitted = false});
    for (const HeapKind kind : {HeapKind::kAuto, HeapKind::kSharedMemory}) {
      exchange_bytes(
          bootstrap,
          *create(bootstrap, {.heap_bytes = kMiB, .kind = kind, .device = bootstrap.rank()}));
      EXPECT_EQ(fake_holdings(), FakeHoldings{});
    }
  });
  test::run_gpu_threads(3, [](Bootstrap& bootstrap) {
    if (bootstrap.rank() == 0) {
      set_fake_machine({.num_devices = 3});
    }
    bootstrap.barrier();
    for (const HeapKind kind : {HeapKind::kInProcess, HeapKind::kSharedMemory}) {
      exchange_bytes(
          bootstrap,
          *create(bootstrap, {.heap_bytes = kMiB, .kind = kind, .device = bootstrap.rank()}));
      bootstrap.barrier();
      EXPECT_EQ(fake_holdings(), FakeHoldings{});
      bootstrap.barrier();
    }
  });
}

TEST(CudaHeapMachines, PrefersFabricHandles) {
  test::run_gpu_processes(2, [](Bootstrap& bootstrap) {
    set_fake_machine({.has_fabric = true});
    const auto heap = create(bootstrap, {.heap_bytes = kMiB});
    EXPECT_THAT(heap->describe(), HasSubstr("shared by fabric handles"));
    exchange_bytes(bootstrap, *heap);
  });
}

TEST(CudaHeapMachines, TakesDescriptorsOnAllRanksWhenOneIsRefusedFabricHandles) {
  test::run_gpu_processes(3, [](Bootstrap& bootstrap) {
    set_fake_machine({.has_fabric = true, .fabric_is_permitted = bootstrap.rank() != 1});
    const auto heap = create(bootstrap, {.heap_bytes = kMiB});
    EXPECT_THAT(heap->describe(), HasSubstr("shared by descriptors"));
    exchange_bytes(bootstrap, *heap);
  });
}

TEST(CudaHeapMachines, TakesDescriptorsWhenOneGpuOffersNoFabricHandles) {
  test::run_gpu_processes(2, [](Bootstrap& bootstrap) {
    set_fake_machine({.has_fabric = bootstrap.rank() == 0});
    EXPECT_THAT(create(bootstrap, {.heap_bytes = kMiB})->describe(), HasSubstr("descriptors"));
  });
}

TEST(CudaHeapMachines, SaysWhyThereIsNoWayBetweenProcesses) {
  test::run_gpu_processes(2, [](Bootstrap& bootstrap) {
    set_fake_machine({.has_descriptors = bootstrap.rank() == 0,
                      .has_fabric = true,
                      .fabric_is_permitted = false});
    EXPECT_THAT(refusal(bootstrap, {.heap_bytes = kMiB}, EOPNOTSUPP),
                AllOf(HasSubstr("the GPU of rank 1 cannot share memory"),
                      HasSubstr("rank 0: cannot create a heap of 2 MiB on GPU 0: "
                                "CUDA_ERROR_NOT_PERMITTED"),
                      HasSubstr("IMEX channel"),
                      HasSubstr("CUDA IPC is no way out")));
    EXPECT_EQ(fake_holdings(), FakeHoldings{});
  });
}

TEST(CudaHeapMachines, NeedsVirtualMemoryManagement) {
  test::run_gpu_threads(2, [](Bootstrap& bootstrap) {
    if (bootstrap.rank() == 0) {
      set_fake_machine({.has_vmm = false});
    }
    bootstrap.barrier();
    EXPECT_THAT(refusal(bootstrap, {.heap_bytes = kMiB}, EOPNOTSUPP),
                AllOf(HasSubstr("GPU 0 has no virtual memory management"), HasSubstr("CUDA IPC")));
  });
}

TEST(CudaHeapMachines, NamesRanksAndGpusThatDoNotReachEachOther) {
  test::run_gpu_processes(2, [](Bootstrap& bootstrap) {
    set_fake_machine({.num_devices = 2, .has_peer_access = bootstrap.rank() == 0});
    EXPECT_THAT(
        refusal(bootstrap, {.heap_bytes = kMiB, .device = bootstrap.rank()}, EOPNOTSUPP),
        AllOf(HasSubstr("rank 1: GPU 1 of rank 1 cannot reach the memory of GPU 0 of rank 0"),
              HasSubstr("NVLink")));
    EXPECT_EQ(fake_holdings(), FakeHoldings{});
  });
}

TEST(CudaHeapMachines, NeedsNoPeerAccessWhereRanksShareOneGpu) {
  test::run_gpu_processes(2, [](Bootstrap& bootstrap) {
    set_fake_machine({.num_devices = 2, .has_peer_access = false});
    EXPECT_THAT(create(bootstrap, {.heap_bytes = kMiB})->describe(), EndsWith(", 1 GPU"));
  });
}

TEST(CudaHeapMachines, KnowsAGpuThatAnotherProcessNumbersOtherwise) {
  test::run_gpu_processes(2, [](Bootstrap& bootstrap) {
    // Rank 0 sees GPUs 0 and 1, rank 1 sees GPUs 1 and 2: device 1 there is device 0 here.
    set_fake_machine({.num_devices = 2, .first_gpu = bootstrap.rank(), .has_peer_access = false});
    const int same_gpu = bootstrap.rank() == 0 ? 1 : 0;
    const auto heap = create(bootstrap, {.heap_bytes = kMiB, .device = same_gpu});
    EXPECT_THAT(heap->describe(), EndsWith(", 1 GPU"));
    exchange_bytes(bootstrap, *heap);
  });
}

TEST(CudaHeapMachines, LeavesGpusThatItDoesNotSeeToTheDriver) {
  test::run_gpu_processes(2, [](Bootstrap& bootstrap) {
    set_fake_machine({.first_gpu = bootstrap.rank(), .has_peer_access = false});
    const auto heap = create(bootstrap, {.heap_bytes = kMiB});
    EXPECT_THAT(heap->describe(), EndsWith(", 2 GPUs"));
    exchange_bytes(bootstrap, *heap);
  });
}

TEST(CudaHeapMachines, TellsNvlinkFromPcie) {
  test::run_gpu_processes(2, [](Bootstrap& bootstrap) {
    const CudaHeapOptions options{.heap_bytes = kMiB, .device = bootstrap.rank()};
    set_fake_machine({.num_devices = 2});
    EXPECT_THAT(create(bootstrap, options)->describe(), EndsWith("2 GPUs joined by NVLink"));
    set_fake_machine({.num_devices = 2, .has_nvlink = false});
    EXPECT_THAT(create(bootstrap, options)->describe(),
                EndsWith("2 GPUs, some joined by PCIe alone"));
  });
}

TEST(CudaHeapMachines, RoundsToTheLargestPagesOfAllGpus) {
  test::run_gpu_processes(2, [](Bootstrap& bootstrap) {
    const std::uint64_t pages = bootstrap.rank() == 0 ? 2 * kMiB : 16 * kMiB;
    set_fake_machine({.page_bytes = pages});
    const auto heap = create(bootstrap, {.heap_bytes = 17 * kMiB});
    EXPECT_EQ(heap->heap_bytes(), 32 * kMiB);
    EXPECT_EQ(heap->peers().stride_bytes, 48 * kMiB);
    EXPECT_THAT(heap->describe(), HasSubstr("16 MiB pages"));
    exchange_bytes(bootstrap, *heap);
  });
}

TEST(CudaHeapMachines, GivesEverythingBackWhenOneRankHasNoMemory) {
  test::run_gpu_processes(3, [](Bootstrap& bootstrap) {
    set_fake_machine({.gpu_bytes = bootstrap.rank() == 2 ? kMiB : 64 * kMiB});
    EXPECT_THAT(refusal(bootstrap, {.heap_bytes = 2 * kMiB}, ENOMEM),
                HasSubstr("rank 2: GPU 0 has no memory for a heap of 2 MiB: 512 KiB of 1 MiB are "
                          "free"));
    EXPECT_EQ(fake_holdings(), FakeHoldings{});
  });
}

TEST(CudaHeapLayout, MakesStridesOfWholePagesWithOneOfThemEmpty) {
  for (const std::uint64_t page : {2 * kMiB, 16 * kMiB, 512 * kMiB}) {
    for (const std::uint64_t wanted : {std::uint64_t{1}, page - 1, page, page + 1, 7 * page}) {
      const HeapLayout layout = make_heap_layout(8, wanted, page);
      EXPECT_EQ(layout.heap_bytes % page, 0U);
      EXPECT_GE(layout.heap_bytes, wanted);
      EXPECT_LT(layout.heap_bytes, wanted + page);
      EXPECT_EQ(layout.stride_bytes(), layout.heap_bytes + page);
    }
  }
}

}  // namespace
}  // namespace switchyard::memory
