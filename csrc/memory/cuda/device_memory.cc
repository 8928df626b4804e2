#include "csrc/memory/cuda/device_memory.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "csrc/memory/system_memory.h"
#include "csrc/protocol/check.h"
#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

CUmemAllocationHandleType handle_type_of(Sharing sharing) {
  switch (sharing) {
    case Sharing::kNone:
      return CU_MEM_HANDLE_TYPE_NONE;
    case Sharing::kDescriptor:
      return CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    case Sharing::kFabric:
      return CU_MEM_HANDLE_TYPE_FABRIC;
  }
  return CU_MEM_HANDLE_TYPE_NONE;
}

CUmemLocation location_of(CUdevice device) {
  CUmemLocation location{};
  location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  location.id = device;
  return location;
}

CUmemAllocationProp properties_of(const CudaDriver& driver, CUdevice device, Sharing sharing) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = location_of(device);
  properties.requestedHandleTypes = handle_type_of(sharing);
  // So that a NIC can be given the heap, where the GPU lets one reach such memory at all.
  int for_nics = 0;
  check(driver,
        driver.device_get_attribute(
            &for_nics, CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED, device),
        fmt::format("cannot ask GPU {} what it can do", device));
  properties.allocFlags.gpuDirectRDMACapable = for_nics != 0 ? 1 : 0;
  return properties;
}

/// Heaps start at multiples of this, as on the host: a power of two.
std::uint64_t alignment_of(const HeapLayout& layout) {
  return std::max<std::uint64_t>(2U << 20U, layout.page_bytes);
}

}  // namespace

PrimaryContext::PrimaryContext(std::shared_ptr<const CudaDriver> driver, CUdevice device)
    : driver_(std::move(driver)), device_(device) {
  check(*driver_,
        driver_->primary_ctx_retain(&context_, device_),
        fmt::format("cannot make a context on GPU {}", device_));
}

PrimaryContext::PrimaryContext(PrimaryContext&& other) noexcept
    : driver_(std::move(other.driver_)), device_(other.device_), context_(other.context_) {}

PrimaryContext::~PrimaryContext() {
  if (driver_) {
    (void)driver_->primary_ctx_release(device_);  // fails when the program is at its end
  }
}

PrimaryContext::Scope::Scope(const PrimaryContext& context) : driver_(*context.driver_) {
  check(driver_,
        driver_.ctx_push_current(context.context_),
        fmt::format("cannot use the context of GPU {}", context.device_));
}

PrimaryContext::Scope::~Scope() {
  CUcontext popped = nullptr;
  (void)driver_.ctx_pop_current(&popped);
}

std::uint64_t granularity_of(const CudaDriver& driver, CUdevice device, Sharing sharing) {
  const CUmemAllocationProp properties = properties_of(driver, device, sharing);
  std::size_t granularity = 0;
  check(driver,
        driver.mem_get_allocation_granularity(
            &granularity, &properties, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED),
        fmt::format("cannot ask GPU {} for the size of its pages", device));
  SY_CHECK(granularity != 0 && (granularity & (granularity - 1)) == 0,
           "a GPU's pages are a power of two of bytes");
  return granularity;
}

DeviceMemory::DeviceMemory(std::shared_ptr<const CudaDriver> driver,
                           CUmemGenericAllocationHandle handle)
    : driver_(std::move(driver)), handle_(handle) {}

DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : driver_(std::move(other.driver_)), handle_(other.handle_) {}

DeviceMemory::~DeviceMemory() {
  if (driver_) {
    (void)driver_->mem_release(handle_);
  }
}

DeviceMemory DeviceMemory::create(const std::shared_ptr<const CudaDriver>& driver,
                                  const PrimaryContext& context,
                                  std::uint64_t bytes,
                                  Sharing sharing) {
  const CUmemAllocationProp properties = properties_of(*driver, context.device(), sharing);
  CUmemGenericAllocationHandle handle = 0;
  const CUresult result = driver->mem_create(&handle, bytes, &properties, 0);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    const PrimaryContext::Scope scope(context);
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    (void)driver->mem_get_info(&free_bytes, &total_bytes);
    throw SystemError(
        errno_of(result),
        fmt::format("GPU {} has no memory for a heap of {}: {} of {} are free; lower "
                    "heap_bytes, put fewer ranks on this GPU, or end what else uses it",
                    context.device(),
                    format_bytes(bytes),
                    format_bytes(free_bytes),
                    format_bytes(total_bytes)));
  }
  check(*driver,
        result,
        fmt::format("cannot create a heap of {} on GPU {}", format_bytes(bytes), context.device()));
  return {driver, handle};
}

DeviceMemory DeviceMemory::import_descriptor(const std::shared_ptr<const CudaDriver>& driver,
                                             int fd) {
  CUmemGenericAllocationHandle handle = 0;
  // The driver takes the descriptor by value, in place of the pointer.
  void* const by_value = reinterpret_cast<void*>(static_cast<std::intptr_t>(fd));
  check(*driver,
        driver->mem_import(&handle, by_value, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
        "cannot import GPU memory by its descriptor");
  return {driver, handle};
}

DeviceMemory DeviceMemory::import_fabric(const std::shared_ptr<const CudaDriver>& driver,
                                         const CUmemFabricHandle& handle) {
  CUmemGenericAllocationHandle imported = 0;
  CUmemFabricHandle copy = handle;
  check(*driver,
        driver->mem_import(&imported, &copy, CU_MEM_HANDLE_TYPE_FABRIC),
        "cannot import GPU memory by its fabric handle");
  return {driver, imported};
}

bootstrap::UniqueFd DeviceMemory::export_descriptor() const {
  int fd = -1;
  check(*driver_,
        driver_->mem_export(&fd, handle_, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
        "cannot export GPU memory as a descriptor");
  bootstrap::UniqueFd exported(fd);
  (void)::fcntl(exported.get(), F_SETFD, FD_CLOEXEC);
  return exported;
}

CUmemFabricHandle DeviceMemory::export_fabric() const {
  CUmemFabricHandle exported{};
  check(*driver_,
        driver_->mem_export(&exported, handle_, CU_MEM_HANDLE_TYPE_FABRIC, 0),
        "cannot export GPU memory as a fabric handle");
  return exported;
}

DeviceMapping::DeviceMapping(std::shared_ptr<const CudaDriver> driver, const HeapLayout& layout)
    : driver_(std::move(driver)), layout_(layout) {
  reserved_bytes_ = layout.stride_bytes() * static_cast<std::uint64_t>(layout.num_ranks);
  check(*driver_,
        driver_->mem_address_reserve(&base_, reserved_bytes_, alignment_of(layout), 0, 0),
        fmt::format(
            "cannot reserve {} of addresses for the heaps of {} ranks; lower the heap size, or "
            "raise the limit of the address space (ulimit -v)",
            format_bytes(reserved_bytes_),
            layout.num_ranks));
}

DeviceMapping::~DeviceMapping() {
  for (const int rank : mapped_) {
    (void)driver_->mem_unmap(heap(rank), layout_.heap_bytes);
  }
  (void)driver_->mem_address_free(base_, reserved_bytes_);
}

CUdeviceptr DeviceMapping::heap(int rank) const {
  SY_CHECK(rank >= 0 && rank < layout_.num_ranks, "a heap belongs to a rank of the group");
  return base_ + static_cast<std::uint64_t>(rank) * layout_.stride_bytes();
}

protocol::Peers DeviceMapping::peers(int rank) const {
  return {.base = reinterpret_cast<std::byte*>(base_),
          .stride_bytes = layout_.stride_bytes(),
          .rank = rank,
          .num_ranks = layout_.num_ranks};
}

void DeviceMapping::map(int rank, const DeviceMemory& memory, std::span<const CUdevice> readers) {
  check(*driver_,
        driver_->mem_map(heap(rank), layout_.heap_bytes, 0, memory.handle(), 0),
        fmt::format("cannot map the heap of rank {}", rank));
  mapped_.push_back(rank);
  std::vector<CUmemAccessDesc> access;
  access.reserve(readers.size());
  for (const CUdevice reader : readers) {
    CUmemAccessDesc may{};
    may.location = location_of(reader);
    may.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    access.push_back(may);
  }
  check(*driver_,
        driver_->mem_set_access(heap(rank), layout_.heap_bytes, access.data(), access.size()),
        fmt::format("the heap of rank {} cannot be reached from GPU {}", rank, readers.front()));
}

void DeviceMapping::zero(int rank, const PrimaryContext& context) {
  const PrimaryContext::Scope scope(context);
  // A stream of its own that ignores the default one: nobody's work is waited for.
  CUstream stream = nullptr;
  check(*driver_,
        driver_->stream_create(&stream, CU_STREAM_NON_BLOCKING),
        "cannot make a stream to clear a heap");
  CUresult result = driver_->memset_d8_async(heap(rank), 0, layout_.heap_bytes, stream);
  if (result == CUDA_SUCCESS) {
    result = driver_->stream_synchronize(stream);
  }
  (void)driver_->stream_destroy(stream);
  check(*driver_, result, fmt::format("cannot clear the heap of rank {}", rank));
}

}  // namespace switchyard::memory
