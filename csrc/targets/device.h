// What a buffer asks of the accelerator that runs its operations: memory, one queue of work, and
// marks in it. An interface without types of any vendor; csrc/targets/cuda has the one over CUDA,
// the tests one whose kernels run on the CPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "csrc/memory/symmetric_heap.h"
#include "csrc/targets/cuda/launch_args.h"
#include "switchyard/bootstrap.h"

namespace switchyard::targets {

/// A point in a queue of work. Lifetime: that of its device
using Mark = std::shared_ptr<void>;

/// Rows somewhere in the device's reach. Units: bytes
struct RowBlock {
  const std::byte* data = nullptr;
  std::uint64_t stride_bytes = 0;
  std::uint64_t row_bytes = 0;
  std::uint64_t num_rows = 0;
};

/// Called by: the thread that calls the buffer. What is enqueued runs in the order in which it was.
/// Errors: SystemError with the vendor's own text
class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  /// The symmetric heap of the group in this device's memory. Collective.
  virtual std::unique_ptr<memory::SymmetricHeap> create_heap(
      Bootstrap& bootstrap, const memory::HeapOptions& options) = 0;

  /// Memory of the device on 256 bytes, holding anything. Thread-safe, as is all down to `read`.
  /// Lifetime: until released; what has been enqueued may use it longer
  virtual std::byte* allocate(std::uint64_t bytes) = 0;
  virtual void release(std::byte* memory) noexcept = 0;
  /// Memory of the host, zeroed, that the device can write.
  virtual std::byte* allocate_host(std::uint64_t bytes) = 0;
  virtual void release_host(std::byte* memory) noexcept = 0;
  /// Copies to or from device memory when all that was enqueued before is done; returns then.
  virtual void write(std::byte* to, const void* from, std::uint64_t bytes) = 0;
  virtual void read(void* to, const std::byte* from, std::uint64_t bytes) = 0;

  /// What is enqueued from here on waits for what `stream` has been given so far; null: for
  /// nothing.
  virtual void wait_for(void* stream) = 0;
  /// What `stream` is given from here on waits for all that has been enqueued so far.
  virtual void let_wait(void* stream) = 0;
  /// The same with a mark of the caller's (cudaEvent_t): waits for it; sets it.
  virtual void wait_for_event(void* event) = 0;
  virtual void set_event(void* event) = 0;
  /// Whether `stream` or this queue is recording a graph: what is enqueued then runs at each launch
  /// of the graph, and no call that waits, reads, writes or marks may be made. Null: this queue.
  [[nodiscard]] virtual bool is_recording(void* stream) = 0;
  /// Enqueues a copy of rows to one place without gaps.
  virtual void pack_rows(const RowBlock& rows, std::byte* to) = 0;
  virtual void launch(const cuda::RouteArgs& args) = 0;
  virtual void launch(const cuda::DispatchLaunch& launch) = 0;
  virtual void launch(const cuda::CombineLaunch& launch) = 0;

  /// Marks the end of what has been enqueued.
  virtual Mark mark() = 0;
  [[nodiscard]] virtual bool reached(const Mark& mark) = 0;
  virtual void wait(const Mark& mark) = 0;

  /// The device's own number, the same for every rank that uses it.
  [[nodiscard]] virtual std::uint64_t identity() const = 0;
  /// SMs that an operation's kernels can occupy at once, of all ranks together.
  [[nodiscard]] virtual int resident_sms() const = 0;
  /// For people: "NVIDIA H200, 132 SMs".
  [[nodiscard]] virtual std::string describe() const = 0;
};

/// A piece of device memory that somebody owns. Lifetime: keeps the device alive
class DeviceBlock {
 public:
  DeviceBlock(std::shared_ptr<Device> device, std::uint64_t bytes)
      : device_(std::move(device)), data_(device_->allocate(bytes)) {}
  DeviceBlock(const DeviceBlock&) = delete;
  DeviceBlock& operator=(const DeviceBlock&) = delete;
  ~DeviceBlock() { device_->release(data_); }

  [[nodiscard]] std::byte* data() const { return data_; }

 private:
  std::shared_ptr<Device> device_;
  std::byte* data_;
};

struct DeviceOptions {
  int device = -1;  ///< the vendor's number; -1: the calling thread's current one
  int num_sms = 1;  ///< of each operation
  bool cache_hints = true;
};

/// The CUDA device. Errors: InvalidArgument where this build has no device code, or for a device
/// that is not there; SystemError where there is no driver
std::unique_ptr<Device> make_cuda_device(const DeviceOptions& options);

}  // namespace switchyard::targets
