#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "tests/gpu/heap_kernels.h"

namespace switchyard::test {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kBlocks = 8;

struct Words {
  std::uint64_t* first;
  std::uint64_t count;
  int writer;
  int owner;
};

__device__ std::uint64_t first_index() {
  return std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}
__device__ std::uint64_t step() {
  return std::uint64_t{gridDim.x} * blockDim.x;
}

__global__ void store_words(Words words) {
  for (std::uint64_t i = first_index(); i < words.count; i += step()) {
    words.first[i] = pattern_word(words.writer, words.owner, i);
  }
}

__global__ void count_wrong_words(Words words, unsigned long long* num_wrong) {
  for (std::uint64_t i = first_index(); i < words.count; i += step()) {
    if (words.first[i] != pattern_word(words.writer, words.owner, i)) {
      atomicAdd(num_wrong, 1ULL);
    }
  }
}

void check(cudaError_t result, const char* doing) {
  if (result != cudaSuccess) {
    throw std::runtime_error(std::string(doing) + ": " + cudaGetErrorString(result));
  }
}

Words words_at(const protocol::Peers& peers,
               int writer,
               int owner,
               std::uint64_t offset_bytes,
               std::uint64_t num_words) {
  return {.first = reinterpret_cast<std::uint64_t*>(peers.at(owner, offset_bytes)),
          .count = num_words,
          .writer = writer,
          .owner = owner};
}

}  // namespace

void use_device(int device) {
  check(cudaSetDevice(device), "cannot use a GPU");
}

void store_pattern(const protocol::Peers& peers,
                   int owner,
                   std::uint64_t offset_bytes,
                   std::uint64_t num_words) {
  store_words<<<kBlocks, kThreads>>>(words_at(peers, peers.rank, owner, offset_bytes, num_words));
  check(cudaGetLastError(), "cannot start the kernel that stores");
  check(cudaDeviceSynchronize(), "the kernel that stores failed");
}

std::uint64_t count_wrong(const protocol::Peers& peers,
                          int writer,
                          int owner,
                          std::uint64_t offset_bytes,
                          std::uint64_t num_words) {
  unsigned long long* num_wrong = nullptr;
  check(cudaMalloc(&num_wrong, sizeof(*num_wrong)), "cannot allocate a counter");
  check(cudaMemset(num_wrong, 0, sizeof(*num_wrong)), "cannot clear a counter");
  count_wrong_words<<<kBlocks, kThreads>>>(words_at(peers, writer, owner, offset_bytes, num_words),
                                           num_wrong);
  check(cudaGetLastError(), "cannot start the kernel that checks");
  unsigned long long result = 0;
  check(cudaMemcpy(&result, num_wrong, sizeof(result), cudaMemcpyDeviceToHost),
        "the kernel that checks failed");
  check(cudaFree(num_wrong), "cannot free a counter");
  return result;
}

}  // namespace switchyard::test
