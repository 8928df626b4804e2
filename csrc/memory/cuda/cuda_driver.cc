#include "csrc/memory/cuda/cuda_driver.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <cerrno>

#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

/// Why the runtime has no driver to offer, in words that say what to do.
[[noreturn]] void throw_no_driver(cudaError_t result) {
  int version = 0;
  if (cudaDriverGetVersion(&version) != cudaSuccess) {
    version = 0;
  }
  std::string advice;
  if (version == 0) {
    advice =
        "there is no NVIDIA driver; install it, give the container its GPUs (--gpus all), or use "
        "heaps in the host's memory";
  } else if (result == cudaErrorInsufficientDriver) {
    advice =
        fmt::format("NVIDIA's driver knows CUDA {}, and this program needs {}: update the driver",
                    version_text(version),
                    version_text(CUDART_VERSION));
  } else {
    advice =
        "NVIDIA's driver offers no GPU; look at nvidia-smi, at CUDA_VISIBLE_DEVICES, and whether "
        "this process was forked from one that used CUDA already";
  }
  throw SystemError(ENODEV,
                    fmt::format("no heap in GPU memory: {}. {}: {}",
                                advice,
                                cudaGetErrorName(result),
                                cudaGetErrorString(result)));
}

/// `version` is the CUDA version whose form of the function is meant, as in its type's name.
template <class Function>
void find(Function& function, const char* name, unsigned version) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult status{};
  const cudaError_t result =
      cudaGetDriverEntryPointByVersion(name, &found, version, cudaEnableDefault, &status);
  if (result != cudaSuccess) {
    (void)cudaGetLastError();  // else the caller's next check would report it
    throw_no_driver(result);
  }
  if (status != cudaDriverEntryPointSuccess || found == nullptr) {
    throw SystemError(ENOSYS,
                      fmt::format("NVIDIA's driver has no {} of CUDA {}; update it",
                                  name,
                                  version_text(static_cast<int>(version))));
  }
  function = reinterpret_cast<Function>(found);
}

CudaDriver find_all() {
  CudaDriver driver;
  find(driver.init, "cuInit", 2000);
  find(driver.get_error_name, "cuGetErrorName", 6000);
  find(driver.get_error_string, "cuGetErrorString", 6000);
  find(driver.device_get_count, "cuDeviceGetCount", 2000);
  find(driver.device_get, "cuDeviceGet", 2000);
  find(driver.device_get_uuid, "cuDeviceGetUuid", 11040);
  find(driver.device_get_attribute, "cuDeviceGetAttribute", 2000);
  find(driver.device_can_access_peer, "cuDeviceCanAccessPeer", 4000);
  find(driver.device_get_p2p_attribute, "cuDeviceGetP2PAttribute", 8000);
  find(driver.primary_ctx_retain, "cuDevicePrimaryCtxRetain", 7000);
  find(driver.primary_ctx_release, "cuDevicePrimaryCtxRelease", 11000);
  find(driver.ctx_push_current, "cuCtxPushCurrent", 4000);
  find(driver.ctx_pop_current, "cuCtxPopCurrent", 4000);
  find(driver.stream_create, "cuStreamCreate", 2000);
  find(driver.stream_synchronize, "cuStreamSynchronize", 2000);
  find(driver.stream_destroy, "cuStreamDestroy", 4000);
  find(driver.mem_get_info, "cuMemGetInfo", 3020);
  find(driver.memset_d8_async, "cuMemsetD8Async", 3020);
  find(driver.mem_get_allocation_granularity, "cuMemGetAllocationGranularity", 10020);
  find(driver.mem_address_reserve, "cuMemAddressReserve", 10020);
  find(driver.mem_address_free, "cuMemAddressFree", 10020);
  find(driver.mem_create, "cuMemCreate", 10020);
  find(driver.mem_release, "cuMemRelease", 10020);
  find(driver.mem_map, "cuMemMap", 10020);
  find(driver.mem_unmap, "cuMemUnmap", 10020);
  find(driver.mem_set_access, "cuMemSetAccess", 10020);
  find(driver.mem_export, "cuMemExportToShareableHandle", 10020);
  find(driver.mem_import, "cuMemImportFromShareableHandle", 10020);
  return driver;
}

}  // namespace

std::shared_ptr<const CudaDriver> load_cuda_driver() {
  auto driver = std::make_shared<CudaDriver>(find_all());
  check(
      *driver,
      driver->init(0),
      "cannot start NVIDIA's driver (nvidia-smi shows what it sees; a container needs --gpus all)");
  return driver;
}

std::string describe(const CudaDriver& driver, CUresult result) {
  const char* name = nullptr;
  const char* text = nullptr;
  (void)driver.get_error_name(result, &name);
  (void)driver.get_error_string(result, &text);
  return fmt::format(
      "{} ({})",
      name == nullptr ? fmt::format("CUDA error {}", static_cast<int>(result)) : name,
      text == nullptr ? "unknown" : text);
}

int errno_of(CUresult result) {
  switch (result) {
    case CUDA_SUCCESS:
      return 0;
    case CUDA_ERROR_OUT_OF_MEMORY:
      return ENOMEM;
    case CUDA_ERROR_NO_DEVICE:
    case CUDA_ERROR_INVALID_DEVICE:
      return ENODEV;
    case CUDA_ERROR_NOT_PERMITTED:
      return EPERM;
    case CUDA_ERROR_NOT_SUPPORTED:
      return EOPNOTSUPP;
    case CUDA_ERROR_INVALID_VALUE:
      return EINVAL;
    default:
      return EIO;
  }
}

void check(const CudaDriver& driver, CUresult result, const std::string& doing) {
  if (result != CUDA_SUCCESS) {
    throw SystemError(errno_of(result), fmt::format("{}: {}", doing, describe(driver, result)));
  }
}

}  // namespace switchyard::memory
