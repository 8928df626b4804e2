#include "csrc/targets/cuda/load_kernel.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <cerrno>

#include "csrc/targets/cuda/cuda_error.h"
#include "switchyard/error.h"

namespace switchyard::cuda {

void load_kernel(const void* kernel, std::size_t shared_bytes, const char* name) {
  int device = 0;
  int limit = 0;
  check(cudaGetDevice(&device), "load a kernel: device");
  check(cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
        "load a kernel: shared memory of a block");
  if (shared_bytes > static_cast<std::size_t>(limit)) {
    throw SystemError(
        EOPNOTSUPP,
        fmt::format("Config::target: got cuda on GPU {}, whose blocks have {} bytes of shared "
                    "memory, wanted {} (kernel {}): sm_90 or later, or target host",
                    device,
                    limit,
                    shared_bytes,
                    name));
  }
  check(cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
        "load a kernel: give it shared memory");
}

}  // namespace switchyard::cuda
