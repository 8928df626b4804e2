// Owners of what the driver gives: a GPU's context, its memory, and the addresses at which heaps of
// several GPUs are mapped at one stride.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "csrc/bootstrap/unique_fd.h"
#include "csrc/memory/cuda/cuda_driver.h"
#include "csrc/memory/heap_mapping.h"

namespace switchyard::memory {

/// How memory leaves its process.
enum class Sharing : std::uint8_t {
  kNone,        ///< it stays
  kDescriptor,  ///< a POSIX file descriptor
  kFabric,      ///< a handle of plain bytes, for processes of an NVLink domain, over machines too
};
inline constexpr int kNumSharings = 3;

/// Holds a GPU's primary context, which the CUDA runtime uses too, so that what is mapped for it
/// stays so.
class PrimaryContext {
 public:
  /// Errors: SystemError
  PrimaryContext(std::shared_ptr<const CudaDriver> driver, CUdevice device);
  PrimaryContext(PrimaryContext&& other) noexcept;
  PrimaryContext& operator=(PrimaryContext&&) = delete;
  ~PrimaryContext();

  /// Makes it current for the calling thread until destroyed, then whatever was before.
  class Scope {
   public:
    explicit Scope(const PrimaryContext& context);
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope();

   private:
    const CudaDriver& driver_;
  };

  [[nodiscard]] CUdevice device() const { return device_; }

 private:
  std::shared_ptr<const CudaDriver> driver_;  // null once moved from
  CUdevice device_;
  CUcontext context_ = nullptr;
};

/// What sizes of memory on `device` are multiples of. Errors: SystemError
std::uint64_t granularity_of(const CudaDriver& driver, CUdevice device, Sharing sharing);

/// A piece of one GPU's memory, or of a peer's; without an address until mapped. What is mapped
/// stays when this is destroyed.
class DeviceMemory {
 public:
  /// Memory of the context's device. Errors: SystemError with the bytes wanted and free
  static DeviceMemory create(const std::shared_ptr<const CudaDriver>& driver,
                             const PrimaryContext& context,
                             std::uint64_t bytes,
                             Sharing sharing);
  /// What another rank exported. Errors: SystemError
  static DeviceMemory import_descriptor(const std::shared_ptr<const CudaDriver>& driver, int fd);
  static DeviceMemory import_fabric(const std::shared_ptr<const CudaDriver>& driver,
                                    const CUmemFabricHandle& handle);

  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&&) = delete;
  ~DeviceMemory();

  /// Errors: SystemError
  [[nodiscard]] bootstrap::UniqueFd export_descriptor() const;
  [[nodiscard]] CUmemFabricHandle export_fabric() const;

  [[nodiscard]] CUmemGenericAllocationHandle handle() const { return handle_; }

 private:
  DeviceMemory(std::shared_ptr<const CudaDriver> driver, CUmemGenericAllocationHandle handle);

  std::shared_ptr<const CudaDriver> driver_;  // null once moved from
  CUmemGenericAllocationHandle handle_;
};

/// As HeapMapping, on the GPUs: addresses for all heaps of a domain, at base + rank * stride, with
/// a page of nothing behind each. Owns all that is mapped there.
class DeviceMapping {
 public:
  /// Errors: SystemError when there are no such addresses left
  DeviceMapping(std::shared_ptr<const CudaDriver> driver, const HeapLayout& layout);
  DeviceMapping(const DeviceMapping&) = delete;
  DeviceMapping& operator=(const DeviceMapping&) = delete;
  ~DeviceMapping();

  /// Puts `memory` behind the heap of `rank`, for loads and stores of `readers`. Errors:
  /// SystemError
  void map(int rank, const DeviceMemory& memory, std::span<const CUdevice> readers);

  /// Fills the heap of `rank` with zeros; returns when they are there. `context` is that of one of
  /// its readers. Errors: SystemError
  void zero(int rank, const PrimaryContext& context);

  [[nodiscard]] const HeapLayout& layout() const { return layout_; }
  [[nodiscard]] protocol::Peers peers(int rank) const;

 private:
  [[nodiscard]] CUdeviceptr heap(int rank) const;

  std::shared_ptr<const CudaDriver> driver_;
  HeapLayout layout_;
  CUdeviceptr base_ = 0;
  std::uint64_t reserved_bytes_ = 0;
  std::vector<int> mapped_;  // ranks
};

}  // namespace switchyard::memory
