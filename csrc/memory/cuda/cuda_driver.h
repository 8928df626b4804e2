// The functions of CUDA's driver that heaps need, found at run time: nothing links libcuda, so that
// programs start on machines without a driver. Tests put functions of their own in their place.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>

#include <memory>
#include <string>

namespace switchyard::memory {

/// Each member does what the driver's function of that name does (cuda.h).
struct CudaDriver {
  PFN_cuInit_v2000 init = nullptr;
  PFN_cuGetErrorName_v6000 get_error_name = nullptr;
  PFN_cuGetErrorString_v6000 get_error_string = nullptr;

  PFN_cuDeviceGetCount_v2000 device_get_count = nullptr;
  PFN_cuDeviceGet_v2000 device_get = nullptr;
  PFN_cuDeviceGetUuid_v11040 device_get_uuid = nullptr;
  PFN_cuDeviceGetAttribute_v2000 device_get_attribute = nullptr;
  PFN_cuDeviceCanAccessPeer_v4000 device_can_access_peer = nullptr;
  PFN_cuDeviceGetP2PAttribute_v8000 device_get_p2p_attribute = nullptr;

  PFN_cuDevicePrimaryCtxRetain_v7000 primary_ctx_retain = nullptr;
  PFN_cuDevicePrimaryCtxRelease_v11000 primary_ctx_release = nullptr;
  PFN_cuCtxPushCurrent_v4000 ctx_push_current = nullptr;
  PFN_cuCtxPopCurrent_v4000 ctx_pop_current = nullptr;
  PFN_cuStreamCreate_v2000 stream_create = nullptr;
  PFN_cuStreamSynchronize_v2000 stream_synchronize = nullptr;
  PFN_cuStreamDestroy_v4000 stream_destroy = nullptr;

  PFN_cuMemGetInfo_v3020 mem_get_info = nullptr;
  PFN_cuMemsetD8Async_v3020 memset_d8_async = nullptr;
  PFN_cuMemGetAllocationGranularity_v10020 mem_get_allocation_granularity = nullptr;
  PFN_cuMemAddressReserve_v10020 mem_address_reserve = nullptr;
  PFN_cuMemAddressFree_v10020 mem_address_free = nullptr;
  PFN_cuMemCreate_v10020 mem_create = nullptr;
  PFN_cuMemRelease_v10020 mem_release = nullptr;
  PFN_cuMemMap_v10020 mem_map = nullptr;
  PFN_cuMemUnmap_v10020 mem_unmap = nullptr;
  PFN_cuMemSetAccess_v10020 mem_set_access = nullptr;
  PFN_cuMemExportToShareableHandle_v10020 mem_export = nullptr;
  PFN_cuMemImportFromShareableHandle_v10020 mem_import = nullptr;
};

/// Finds and initialises the driver. Errors: SystemError that says whether there is none, an old
/// one, or no GPU, and what to do
std::shared_ptr<const CudaDriver> load_cuda_driver();

/// The driver's name and text of an error: "CUDA_ERROR_OUT_OF_MEMORY (out of memory)".
std::string describe(const CudaDriver& driver, CUresult result);

/// The errno that comes nearest.
int errno_of(CUresult result);

/// Errors: SystemError saying what was being done and the driver's own text, unless `result` is
/// success
void check(const CudaDriver& driver, CUresult result, const std::string& doing);

}  // namespace switchyard::memory
