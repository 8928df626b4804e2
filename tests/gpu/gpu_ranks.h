// Ranks that use a GPU, or the fake driver in its place. Everything that touches CUDA runs in
// forked processes: CUDA does not survive a fork, and one test's broken context is not the next
// one's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "csrc/memory/cuda/cuda_heap.h"

namespace switchyard::test {

enum class Driver : std::uint8_t { kFake, kReal };

/// "" where there is a GPU to use, else the driver's words why not.
std::string why_no_gpu();

/// GPUs that this machine's driver shows; 0 without one.
int num_gpus();

/// Runs `body` with `num_ranks` threads of one forked process, or as processes of their own; the
/// test fails unless all succeed.
void run_gpu_threads(int num_ranks, const std::function<void(Bootstrap&)>& body);
void run_gpu_processes(int num_ranks, const std::function<void(Bootstrap&)>& body);

/// memory::create_cuda_heap on that driver.
std::unique_ptr<memory::SymmetricHeap> create_heap(Driver driver,
                                                   Bootstrap& bootstrap,
                                                   const memory::CudaHeapOptions& options);

/// Copies between the host and a heap.
void write_bytes(Driver driver, std::byte* to, const std::vector<std::byte>& bytes);
std::vector<std::byte> read_bytes(Driver driver, const std::byte* from, std::uint64_t num_bytes);

inline void write_byte(Driver driver, std::byte* to, std::byte value) {
  write_bytes(driver, to, {value});
}
inline std::byte read_byte(Driver driver, const std::byte* from) {
  return read_bytes(driver, from, 1).front();
}

}  // namespace switchyard::test
