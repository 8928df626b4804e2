#include "tests/gpu/gpu_ranks.h"

#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "csrc/memory/cuda/cuda_heap_kinds.h"
#include "tests/gpu/fake_driver.h"
#include "tests/support/process.h"
#include "tests/support/rank_threads.h"
#include "tests/support/shared_value.h"

namespace switchyard::test {
namespace {

struct Found {
  int num_gpus = 0;
  std::array<char, 1024> reason{};
};

void look_for_gpus(Found& found) {
  try {
    const auto driver = memory::load_cuda_driver();
    memory::check(*driver, driver->device_get_count(&found.num_gpus), "cannot count the GPUs");
    if (found.num_gpus == 0) {
      throw std::runtime_error("the driver shows no GPU");
    }
  } catch (const std::exception& error) {
    std::strncpy(found.reason.data(), error.what(), found.reason.size() - 1);
  }
}

/// What a process of its own finds.
Found find_gpus() {
  const SharedValue<Found> found;
  Processes process;
  process.start([&] { look_for_gpus(*found); });
  if (process.wait().front() != kSuccess) {
    return {.num_gpus = 0, .reason = {"the process that looked for a GPU died"}};
  }
  return *found;
}

void copy(void* to, const void* from, std::size_t num_bytes) {
  const cudaError_t result = cudaMemcpy(to, from, num_bytes, cudaMemcpyDefault);
  if (result != cudaSuccess) {
    throw std::runtime_error(std::string("cannot copy: ") + cudaGetErrorString(result));
  }
}

}  // namespace

std::string why_no_gpu() {
  return find_gpus().reason.data();
}

int num_gpus() {
  return find_gpus().num_gpus;
}

void run_gpu_threads(int num_ranks, const std::function<void(Bootstrap&)>& body) {
  Processes process;
  process.start([&] {
    auto bootstraps = make_in_process_bootstraps(num_ranks);
    const auto errors = run_rank_threads(num_ranks, [&](int rank) {
      const auto bootstrap = std::move(bootstraps[static_cast<std::size_t>(rank)]);
      body(*bootstrap);
    });
    EXPECT_THAT(errors, ::testing::Each(""));
  });
  EXPECT_EQ(process.wait().front(), kSuccess);
}

void run_gpu_processes(int num_ranks, const std::function<void(Bootstrap&)>& body) {
  EXPECT_THAT(run_ranks(num_ranks, body), ::testing::Each(kSuccess));
}

std::unique_ptr<memory::SymmetricHeap> create_heap(Driver driver,
                                                   Bootstrap& bootstrap,
                                                   const memory::CudaHeapOptions& options) {
  return driver == Driver::kReal
             ? memory::create_cuda_heap(bootstrap, options)
             : memory::create_cuda_heap_on(bootstrap, options, make_fake_driver);
}

void write_bytes(Driver driver, std::byte* to, const std::vector<std::byte>& bytes) {
  if (driver == Driver::kReal) {
    copy(to, bytes.data(), bytes.size());
  } else {
    std::copy(bytes.begin(), bytes.end(), to);
  }
}

std::vector<std::byte> read_bytes(Driver driver, const std::byte* from, std::uint64_t num_bytes) {
  std::vector<std::byte> bytes(num_bytes);
  if (driver == Driver::kReal) {
    copy(bytes.data(), from, bytes.size());
  } else {
    std::copy_n(from, num_bytes, bytes.begin());
  }
  return bytes;
}

}  // namespace switchyard::test
