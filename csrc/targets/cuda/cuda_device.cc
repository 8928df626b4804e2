// The device of targets/device.h over CUDA's runtime: a stream, events, and the kernels of this
// folder.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "csrc/memory/cuda/cuda_heap.h"
#include "csrc/targets/cuda/cuda_error.h"
#include "csrc/targets/cuda/operation_kernels.h"
#include "csrc/targets/cuda/route_kernel.h"
#include "csrc/targets/device.h"
#include "switchyard/error.h"

namespace switchyard::targets {
namespace {

using cuda::check;

/// Makes a GPU the calling thread's current one until destroyed, then whichever was before.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device) {
    check(cudaGetDevice(&before_), "which GPU is current");
    check(cudaSetDevice(device), "make the GPU current");
  }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;
  ~CurrentDevice() { (void)cudaSetDevice(before_); }

 private:
  int before_ = 0;
};

/// Lets this thread allocate while any thread of the process captures a graph.
class RelaxedCapture {
 public:
  RelaxedCapture() { check(cudaThreadExchangeStreamCaptureMode(&mode_), "allow to allocate"); }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;
  ~RelaxedCapture() { (void)cudaThreadExchangeStreamCaptureMode(&mode_); }

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

struct Destroy {
  void operator()(cudaStream_t stream) const { (void)cudaStreamDestroy(stream); }
  void operator()(cudaEvent_t event) const { (void)cudaEventDestroy(event); }
  void operator()(cudaMemPool_t pool) const { (void)cudaMemPoolDestroy(pool); }
};
using Stream = std::unique_ptr<CUstream_st, Destroy>;
using Event = std::unique_ptr<CUevent_st, Destroy>;
using Pool = std::unique_ptr<CUmemPoolHandle_st, Destroy>;

/// Above the caller's streams: communication holds few SMs, and everybody waits for it.
Stream make_stream() {
  int least = 0;
  int greatest = 0;
  check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "stream priorities");
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, greatest), "a stream");
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event");
  return Event(event);
}

/// Keeps what is released: giving it back would wait for kernels, which may wait for this rank.
Pool make_pool(int device) {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location = {cudaMemLocationTypeDevice, device};
  cudaMemPool_t made = nullptr;
  check(cudaMemPoolCreate(&made, &properties), "a pool of the GPU's memory");
  Pool pool(made);
  std::uint64_t keep = UINT64_MAX;
  check(cudaMemPoolSetAttribute(made, cudaMemPoolAttrReleaseThreshold, &keep),
        "keep the GPU's memory");
  return pool;
}

/// The GPU that is meant by Config::device.
int chosen_device(int wanted) {
  int count = 0;
  if (const cudaError_t result = cudaGetDeviceCount(&count); result != cudaSuccess || count == 0) {
    (void)cudaGetLastError();  // else the caller's next check would report it
    throw SystemError(
        ENODEV,
        fmt::format("Config::target: got cuda, wanted a GPU that this process can use or target "
                    "host: {} ({}); look at nvidia-smi and CUDA_VISIBLE_DEVICES, give a container "
                    "its GPUs (--gpus all), or update a driver that is older than CUDA {}.{}",
                    cudaGetErrorString(result),
                    cudaGetErrorName(result),
                    CUDART_VERSION / 1000,
                    CUDART_VERSION % 1000 / 10));
  }
  if (wanted < -1 || wanted >= count) {
    throw InvalidArgument(fmt::format(
        "Config::device: got {}, wanted -1 (the current one) to {}: this process sees {} GPUs",
        wanted,
        count - 1,
        count));
  }
  int device = wanted;
  if (device < 0) {
    check(cudaGetDevice(&device), "which GPU is current");
  }
  return device;
}

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(const DeviceOptions& options)
      : options_(options), device_(chosen_device(options.device)) {
    const CurrentDevice current(device_);
    check(cudaGetDeviceProperties(&properties_, device_), "what the GPU is");
    // Loading one at its first launch could wait for kernels that wait for this rank.
    cuda::load_route_kernel(shared_limit());
    cuda::load_dispatch_kernels();
    cuda::load_combine_kernels();
    resident_sms_ = cuda::resident_blocks();
    pool_ = make_pool(device_);
    stream_ = make_stream();
    side_stream_ = make_stream();
    given_ = make_event();
  }

  std::unique_ptr<memory::SymmetricHeap> create_heap(Bootstrap& bootstrap,
                                                     const memory::HeapOptions& options) override {
    return memory::create_cuda_heap(
        bootstrap, {.heap_bytes = options.heap_bytes, .kind = options.kind, .device = device_});
  }

  /// A graph must not allocate: what it uses outlives each of its launches. While one is recorded,
  /// memory comes by a stream that is not, and goes back when the recording is over.
  std::byte* allocate(std::uint64_t bytes) override {
    const CurrentDevice current(device_);
    const RelaxedCapture relaxed;
    const bool recording = is_recording(nullptr);
    if (!recording) {
      free_kept();
    }
    cudaStream_t stream = recording ? side_stream_.get() : stream_.get();
    void* memory = nullptr;
    check(cudaMallocFromPoolAsync(&memory, std::max<std::uint64_t>(bytes, 1), pool_.get(), stream),
          "memory of the GPU");
    if (recording) {
      check(cudaStreamSynchronize(stream), "wait for memory of the GPU");
    }
    return static_cast<std::byte*>(memory);
  }
  void release(std::byte* memory) noexcept override {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    const bool known = cudaStreamIsCapturing(stream_.get(), &status) == cudaSuccess;
    if (known && status == cudaStreamCaptureStatusNone) {
      (void)cudaFreeAsync(memory, stream_.get());
      return;
    }
    const std::lock_guard lock(kept_mutex_);
    kept_.push_back(memory);
  }
  std::byte* allocate_host(std::uint64_t bytes) override {
    const CurrentDevice current(device_);
    void* memory = nullptr;
    check(cudaHostAlloc(&memory, bytes, cudaHostAllocPortable | cudaHostAllocMapped),
          "memory of the host that the GPU writes");
    std::memset(memory, 0, bytes);
    return static_cast<std::byte*>(memory);
  }
  void release_host(std::byte* memory) noexcept override { (void)cudaFreeHost(memory); }
  void write(std::byte* to, const void* from, std::uint64_t bytes) override {
    copy(to, from, bytes);
  }
  void read(void* to, const std::byte* from, std::uint64_t bytes) override {
    copy(to, from, bytes);
  }

  void wait_for(void* stream) override {
    if (stream != nullptr) {
      check(cudaEventRecord(given_.get(), static_cast<cudaStream_t>(stream)),
            "mark the caller's stream");
      check(cudaStreamWaitEvent(stream_.get(), given_.get()), "wait for the caller's stream");
    }
  }
  void let_wait(void* stream) override {
    check(cudaEventRecord(given_.get(), stream_.get()), "mark the stream");
    check(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), given_.get()),
          "let the caller's stream wait");
  }
  void wait_for_event(void* event) override {
    check(cudaStreamWaitEvent(stream_.get(), static_cast<cudaEvent_t>(event)),
          "wait for the caller's event");
  }
  void set_event(void* event) override {
    check(cudaEventRecord(static_cast<cudaEvent_t>(event), stream_.get()),
          "record the caller's event");
  }
  [[nodiscard]] bool is_recording(void* stream) override {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cudaStream_t asked = stream == nullptr ? stream_.get() : static_cast<cudaStream_t>(stream);
    check(cudaStreamIsCapturing(asked, &status), "whether a stream is captured");
    return status != cudaStreamCaptureStatusNone;
  }
  void pack_rows(const RowBlock& rows, std::byte* to) override {
    if (rows.num_rows != 0) {
      check(cudaMemcpy2DAsync(to,
                              rows.row_bytes,
                              rows.data,
                              std::max(rows.stride_bytes, rows.row_bytes),
                              rows.row_bytes,
                              rows.num_rows,
                              cudaMemcpyDefault,
                              stream_.get()),
            "pack rows");
    }
  }
  void launch(const cuda::RouteArgs& args) override {
    const CurrentDevice current(device_);
    cuda::launch_route(args, shared_limit(), stream_.get());
  }
  void launch(const cuda::DispatchLaunch& launch) override {
    const CurrentDevice current(device_);
    cuda::launch_dispatch(launch, options_.num_sms, options_.cache_hints, stream_.get());
  }
  void launch(const cuda::CombineLaunch& launch) override {
    const CurrentDevice current(device_);
    cuda::launch_combine(launch, options_.num_sms, options_.cache_hints, stream_.get());
  }

  Mark mark() override {
    const CurrentDevice current(device_);
    Event event = make_event();
    check(cudaEventRecord(event.get(), stream_.get()), "mark the stream");
    return {event.release(), [](void* made) { Destroy()(static_cast<cudaEvent_t>(made)); }};
  }
  [[nodiscard]] bool reached(const Mark& mark) override {
    const cudaError_t result = cudaEventQuery(static_cast<cudaEvent_t>(mark.get()));
    if (result == cudaErrorNotReady) {
      (void)cudaGetLastError();
      return false;
    }
    check(result, "look for a mark");
    return true;
  }
  void wait(const Mark& mark) override {
    check(cudaEventSynchronize(static_cast<cudaEvent_t>(mark.get())), "wait for a mark");
  }

  [[nodiscard]] std::uint64_t identity() const override {
    std::uint64_t halves[2];
    static_assert(sizeof(halves) == sizeof(properties_.uuid));
    std::memcpy(halves, &properties_.uuid, sizeof(halves));
    return halves[0] ^ halves[1];
  }
  [[nodiscard]] int resident_sms() const override { return resident_sms_; }
  [[nodiscard]] std::string describe() const override {
    return fmt::format("{} ({} SMs)", properties_.name, properties_.multiProcessorCount);
  }

 private:
  [[nodiscard]] std::uint32_t shared_limit() const {
    return static_cast<std::uint32_t>(properties_.sharedMemPerBlockOptin);
  }

  void free_kept() {
    std::vector<std::byte*> kept;
    {
      const std::lock_guard lock(kept_mutex_);
      kept.swap(kept_);
    }
    for (std::byte* memory : kept) {
      check(cudaFreeAsync(memory, stream_.get()), "give memory of the GPU back");
    }
  }

  /// Between the host and the GPU, behind all that was enqueued.
  void copy(void* to, const void* from, std::uint64_t bytes) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_.get()), "copy");
    check(cudaStreamSynchronize(stream_.get()), "wait for a copy");
  }

  DeviceOptions options_;
  int device_;
  cudaDeviceProp properties_{};
  int resident_sms_ = 0;
  Pool pool_;
  Stream stream_;
  Stream side_stream_;  // for memory, while the other is captured
  Event given_;         // records the caller's streams, and what they wait for
  std::mutex kept_mutex_;
  std::vector<std::byte*> kept_;  // released while a graph was recorded
};

}  // namespace

std::unique_ptr<Device> make_cuda_device(const DeviceOptions& options) {
  return std::make_unique<CudaDevice>(options);
}

}  // namespace switchyard::targets
