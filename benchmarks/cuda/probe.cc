#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "benchmarks/cuda/cuda_machine.h"

namespace switchyard::bench {
namespace {

/// In memory that the child shares with its parent.
struct Found {
  int num_gpus;
  int num_sms;
  std::uint64_t memory_bytes;
  char name[256];
  char why_not[512];
};

void keep(char* to, std::size_t room, const std::string& text) {
  std::strncpy(to, text.c_str(), room - 1);
}

void look(Found& found) {
  cudaDeviceProp properties{};
  cudaError_t result = cudaGetDeviceCount(&found.num_gpus);
  if (result == cudaSuccess && found.num_gpus > 0) {
    result = cudaGetDeviceProperties(&properties, 0);
  }
  if (result != cudaSuccess || found.num_gpus == 0) {
    found.num_gpus = 0;
    keep(
        found.why_not,
        sizeof(found.why_not),
        fmt::format("CUDA finds none ({}: {}); look at nvidia-smi and CUDA_VISIBLE_DEVICES, give a "
                    "container its GPUs (--gpus all), or update a driver that is older than CUDA "
                    "{}.{}",
                    cudaGetErrorName(result),
                    cudaGetErrorString(result),
                    CUDART_VERSION / 1000,
                    CUDART_VERSION % 1000 / 10));
    return;
  }
  found.num_sms = properties.multiProcessorCount;
  found.memory_bytes = properties.totalGlobalMem;
  keep(found.name, sizeof(found.name), properties.name);
}

}  // namespace

GpuProbe probe_gpus() {
  void* memory =
      ::mmap(nullptr, sizeof(Found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return {.why_not = "there is no memory to look for one"};
  }
  Found& found = *new (memory) Found{};
  const pid_t child = ::fork();
  if (child == 0) {
    look(found);
    ::_exit(0);
  }
  int status = 0;
  const bool ended = child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
  GpuProbe probe{found.num_gpus, found.num_sms, found.memory_bytes, found.name, found.why_not};
  if (!ended) {
    probe = {.why_not = "the process that looked for one did not end well"};
  }
  ::munmap(memory, sizeof(Found));
  return probe;
}

}  // namespace switchyard::bench
