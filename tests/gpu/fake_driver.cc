#include "tests/gpu/fake_driver.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

namespace switchyard::test {
namespace {

/// New memory of a GPU holds what others left there.
constexpr int kLeftOver = 0xa5;

struct Mapping {
  std::size_t bytes = 0;
  bool is_accessible = false;
};

/// A driver is one for its process: so is this.
struct State {
  std::mutex mutex;
  FakeMachine machine;
  FakeHoldings held;
  std::map<CUdeviceptr, Mapping> mappings;
};
State state;
thread_local std::vector<CUcontext> current_contexts;

void* address_of(CUdeviceptr pointer) {
  return reinterpret_cast<void*>(pointer);
}

bool is_device(CUdevice device) {
  return device >= 0 && device < state.machine.num_devices;
}

CUresult get_error_name(CUresult error, const char** name) {
  *name = error == CUDA_ERROR_NOT_PERMITTED ? "CUDA_ERROR_NOT_PERMITTED" : "CUDA_ERROR_FAKE";
  return CUDA_SUCCESS;
}
CUresult get_error_string(CUresult /*error*/, const char** text) {
  *text = "says the fake driver";
  return CUDA_SUCCESS;
}

CUresult device_get_count(int* count) {
  *count = state.machine.num_devices;
  return CUDA_SUCCESS;
}
CUresult device_get(CUdevice* device, int ordinal) {
  *device = ordinal;
  return is_device(ordinal) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
CUresult device_get_uuid(CUuuid* uuid, CUdevice device) {
  std::memset(uuid, 0, sizeof(*uuid));
  uuid->bytes[15] = static_cast<char>(state.machine.first_gpu + device + 1);
  return is_device(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
CUresult device_get_attribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  const FakeMachine& machine = state.machine;
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
      *value = machine.has_vmm ? 1 : 0;
      break;
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED:
      *value = machine.has_descriptors ? 1 : 0;
      break;
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED:
      *value = machine.has_fabric ? 1 : 0;
      break;
    default:
      *value = 0;
  }
  return is_device(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
CUresult device_can_access_peer(int* can_access, CUdevice device, CUdevice peer) {
  *can_access = state.machine.has_peer_access ? 1 : 0;
  return is_device(device) && is_device(peer) && device != peer ? CUDA_SUCCESS
                                                                : CUDA_ERROR_INVALID_DEVICE;
}
CUresult device_get_p2p_attribute(int* value,
                                  CUdevice_P2PAttribute /*attribute*/,
                                  CUdevice device,
                                  CUdevice peer) {
  *value = state.machine.has_nvlink ? 1 : 0;
  return is_device(device) && is_device(peer) && device != peer ? CUDA_SUCCESS
                                                                : CUDA_ERROR_INVALID_DEVICE;
}

CUresult primary_ctx_retain(CUcontext* context, CUdevice device) {
  const std::lock_guard lock(state.mutex);
  if (!is_device(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  *context = reinterpret_cast<CUcontext>(static_cast<std::intptr_t>(device + 1));
  ++state.held.contexts;
  return CUDA_SUCCESS;
}
CUresult primary_ctx_release(CUdevice /*device*/) {
  const std::lock_guard lock(state.mutex);
  --state.held.contexts;
  return CUDA_SUCCESS;
}
CUresult ctx_push_current(CUcontext context) {
  current_contexts.push_back(context);
  return CUDA_SUCCESS;
}
CUresult ctx_pop_current(CUcontext* context) {
  if (current_contexts.empty()) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  *context = current_contexts.back();
  current_contexts.pop_back();
  return CUDA_SUCCESS;
}
CUresult stream_create(CUstream* stream, unsigned /*flags*/) {
  const std::lock_guard lock(state.mutex);
  *stream = reinterpret_cast<CUstream>(std::intptr_t{1});
  ++state.held.streams;
  return current_contexts.empty() ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}
CUresult stream_synchronize(CUstream /*stream*/) {
  return CUDA_SUCCESS;
}
CUresult stream_destroy(CUstream /*stream*/) {
  const std::lock_guard lock(state.mutex);
  --state.held.streams;
  return CUDA_SUCCESS;
}

CUresult mem_get_info(std::size_t* free_bytes, std::size_t* total_bytes) {
  *free_bytes = state.machine.gpu_bytes / 2;
  *total_bytes = state.machine.gpu_bytes;
  return current_contexts.empty() ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}
CUresult memset_d8_async(CUdeviceptr at, unsigned char value, std::size_t bytes, CUstream /*s*/) {
  const std::lock_guard lock(state.mutex);
  const auto found = state.mappings.find(at);
  if (current_contexts.empty() || found == state.mappings.end() || found->second.bytes != bytes ||
      !found->second.is_accessible) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  std::memset(address_of(at), value, bytes);
  return CUDA_SUCCESS;
}
CUresult mem_get_allocation_granularity(std::size_t* granularity,
                                        const CUmemAllocationProp* properties,
                                        CUmemAllocationGranularity_flags /*flags*/) {
  *granularity = state.machine.page_bytes;
  return is_device(properties->location.id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult mem_address_reserve(CUdeviceptr* pointer,
                             std::size_t bytes,
                             std::size_t alignment,
                             CUdeviceptr /*hint*/,
                             unsigned long long /*flags*/) {
  const std::lock_guard lock(state.mutex);
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  void* reserved = ::mmap(
      nullptr, bytes + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  const auto first = reinterpret_cast<std::uintptr_t>(reserved);
  const std::uintptr_t aligned = (first + alignment - 1) & ~(alignment - 1);
  if (aligned != first) {
    ::munmap(reserved, aligned - first);
  }
  ::munmap(address_of(aligned + bytes), first + alignment - aligned);
  *pointer = aligned;
  ++state.held.reservations;
  return CUDA_SUCCESS;
}
CUresult mem_address_free(CUdeviceptr pointer, std::size_t bytes) {
  const std::lock_guard lock(state.mutex);
  --state.held.reservations;
  return ::munmap(address_of(pointer), bytes) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult mem_create(CUmemGenericAllocationHandle* handle,
                    std::size_t bytes,
                    const CUmemAllocationProp* properties,
                    unsigned long long /*flags*/) {
  const std::lock_guard lock(state.mutex);
  const FakeMachine& machine = state.machine;
  if (!is_device(properties->location.id) || bytes % machine.page_bytes != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (properties->requestedHandleTypes == CU_MEM_HANDLE_TYPE_FABRIC &&
      !machine.fabric_is_permitted) {
    return CUDA_ERROR_NOT_PERMITTED;
  }
  if (bytes > machine.gpu_bytes) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  const int fd = ::memfd_create("fake GPU memory", MFD_CLOEXEC);
  if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  void* memory = ::mmap(nullptr, bytes, PROT_WRITE, MAP_SHARED, fd, 0);
  std::memset(memory, kLeftOver, bytes);
  ::munmap(memory, bytes);
  *handle = static_cast<CUmemGenericAllocationHandle>(fd);
  ++state.held.handles;
  return CUDA_SUCCESS;
}
CUresult mem_release(CUmemGenericAllocationHandle handle) {
  const std::lock_guard lock(state.mutex);
  --state.held.handles;
  return ::close(static_cast<int>(handle)) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult mem_map(CUdeviceptr at,
                 std::size_t bytes,
                 std::size_t /*offset*/,
                 CUmemGenericAllocationHandle handle,
                 unsigned long long /*flags*/) {
  const std::lock_guard lock(state.mutex);
  struct stat seen {};
  const int fd = static_cast<int>(handle);
  if (::fstat(fd, &seen) != 0 || static_cast<std::size_t>(seen.st_size) < bytes ||
      at % state.machine.page_bytes != 0 || state.mappings.contains(at)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (::mmap(address_of(at), bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  state.mappings[at] = {.bytes = bytes};
  ++state.held.mappings;
  return CUDA_SUCCESS;
}
CUresult mem_unmap(CUdeviceptr at, std::size_t bytes) {
  const std::lock_guard lock(state.mutex);
  const auto found = state.mappings.find(at);
  if (found == state.mappings.end() || found->second.bytes != bytes) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  state.mappings.erase(found);
  --state.held.mappings;
  void* reserved = ::mmap(address_of(at),
                          bytes,
                          PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
                          -1,
                          0);
  return reserved == MAP_FAILED ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
CUresult mem_set_access(CUdeviceptr at,
                        std::size_t bytes,
                        const CUmemAccessDesc* access,
                        std::size_t count) {
  const std::lock_guard lock(state.mutex);
  const auto found = state.mappings.find(at);
  if (found == state.mappings.end() || found->second.bytes != bytes || count == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (!is_device(access[i].location.id)) {
      return CUDA_ERROR_INVALID_DEVICE;
    }
  }
  found->second.is_accessible = ::mprotect(address_of(at), bytes, PROT_READ | PROT_WRITE) == 0;
  return CUDA_SUCCESS;
}

/// Where the memory of a fabric handle is found.
struct FabricPlace {
  std::int64_t pid = 0;
  std::int64_t fd = 0;
};

CUresult mem_export(void* to,
                    CUmemGenericAllocationHandle handle,
                    CUmemAllocationHandleType type,
                    unsigned long long /*flags*/) {
  if (type == CU_MEM_HANDLE_TYPE_FABRIC) {
    // Open for good: a fabric handle is valid as long as the memory is, and memfds need a holder.
    const FabricPlace place{.pid = ::getpid(), .fd = ::dup(static_cast<int>(handle))};
    std::memcpy(to, &place, sizeof(place));
    return CUDA_SUCCESS;
  }
  const int fd = ::dup(static_cast<int>(handle));
  std::memcpy(to, &fd, sizeof(fd));
  return fd < 0 ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
}
CUresult mem_import(CUmemGenericAllocationHandle* handle,
                    void* from,
                    CUmemAllocationHandleType type) {
  int fd = -1;
  if (type == CU_MEM_HANDLE_TYPE_FABRIC) {
    FabricPlace place;
    std::memcpy(&place, from, sizeof(place));
    fd = ::open(fmt::format("/proc/{}/fd/{}", place.pid, place.fd).c_str(), O_RDWR | O_CLOEXEC);
  } else {
    fd = ::dup(static_cast<int>(reinterpret_cast<std::intptr_t>(from)));
  }
  if (fd < 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const std::lock_guard lock(state.mutex);
  ++state.held.handles;
  *handle = static_cast<CUmemGenericAllocationHandle>(fd);
  return CUDA_SUCCESS;
}

}  // namespace

void set_fake_machine(const FakeMachine& machine) {
  const std::lock_guard lock(state.mutex);
  state.machine = machine;
}

FakeHoldings fake_holdings() {
  const std::lock_guard lock(state.mutex);
  FakeHoldings held = state.held;
  held.current_contexts = static_cast<int>(current_contexts.size());
  return held;
}

std::shared_ptr<const memory::CudaDriver> make_fake_driver() {
  auto driver = std::make_shared<memory::CudaDriver>();
  driver->init = [](unsigned /*flags*/) { return CUDA_SUCCESS; };
  driver->get_error_name = get_error_name;
  driver->get_error_string = get_error_string;
  driver->device_get_count = device_get_count;
  driver->device_get = device_get;
  driver->device_get_uuid = device_get_uuid;
  driver->device_get_attribute = device_get_attribute;
  driver->device_can_access_peer = device_can_access_peer;
  driver->device_get_p2p_attribute = device_get_p2p_attribute;
  driver->primary_ctx_retain = primary_ctx_retain;
  driver->primary_ctx_release = primary_ctx_release;
  driver->ctx_push_current = ctx_push_current;
  driver->ctx_pop_current = ctx_pop_current;
  driver->stream_create = stream_create;
  driver->stream_synchronize = stream_synchronize;
  driver->stream_destroy = stream_destroy;
  driver->mem_get_info = mem_get_info;
  driver->memset_d8_async = memset_d8_async;
  driver->mem_get_allocation_granularity = mem_get_allocation_granularity;
  driver->mem_address_reserve = mem_address_reserve;
  driver->mem_address_free = mem_address_free;
  driver->mem_create = mem_create;
  driver->mem_release = mem_release;
  driver->mem_map = mem_map;
  driver->mem_unmap = mem_unmap;
  driver->mem_set_access = mem_set_access;
  driver->mem_export = mem_export;
  driver->mem_import = mem_import;
  return driver;
}

}  // namespace switchyard::test
