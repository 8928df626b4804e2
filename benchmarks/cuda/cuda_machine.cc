#include "benchmarks/cuda/cuda_machine.h"

#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdint>
#include <optional>

#include "benchmarks/cuda/companions.h"
#include "benchmarks/cuda/gpu_memory.h"
#include "csrc/targets/cuda/cuda_error.h"

namespace switchyard::bench {
namespace {

/// Several times what any GPU's last-level cache holds.
constexpr std::size_t kCopyBytes = std::size_t{512} << 20U;
/// Timed together: one takes a quarter of a millisecond.
constexpr int kCopies = 4;

class CudaRankDevice final : public RankDevice {
 public:
  explicit CudaRankDevice(int gpu) : gpu_(gpu) {
    cuda::check(cudaSetDevice(gpu), "use the GPU");
    // What tests and checks give back stays with the process: unmapping it would wait for kernels.
    cudaMemPool_t pool = nullptr;
    cuda::check(cudaDeviceGetDefaultMemPool(&pool, gpu), "the GPU's pool of memory");
    std::uint64_t keep = UINT64_MAX;
    cuda::check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep),
                "keep the GPU's memory");
    cuda::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
    cuda::check(cudaEventCreate(&begin_), "an event");
    cuda::check(cudaEventCreate(&end_), "an event");
  }
  ~CudaRankDevice() override {
    (void)cudaEventDestroy(end_);
    (void)cudaEventDestroy(begin_);
    (void)cudaStreamDestroy(stream_);
  }

  [[nodiscard]] int index() const override { return gpu_; }

  double measure_copy_gbps() override {
    if (!copy_memory_) {
      copy_memory_.emplace(2 * kCopyBytes);
      copy(copy_memory_->data() + kCopyBytes, copy_memory_->data(), kCopyBytes);
    }
    cuda::check(cudaEventRecord(begin_, stream_), "mark the beginning of copies");
    for (int i = 0; i < kCopies; ++i) {
      cuda::check(cudaMemcpyAsync(copy_memory_->data() + kCopyBytes,
                                  copy_memory_->data(),
                                  kCopyBytes,
                                  cudaMemcpyDeviceToDevice,
                                  stream_),
                  "copy");
    }
    cuda::check(cudaEventRecord(end_, stream_), "mark the end of copies");
    cuda::check(cudaEventSynchronize(end_), "wait for copies");
    float taken_ms = 0;
    cuda::check(cudaEventElapsedTime(&taken_ms, begin_, end_), "time copies");
    return 2.0 * kCopies * static_cast<double>(kCopyBytes) / (static_cast<double>(taken_ms) * 1e6);
  }

  void copy(void* to, const void* from, std::uint64_t bytes) override {
    cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_), "copy");
    cuda::check(cudaStreamSynchronize(stream_), "wait for a copy");
  }

  std::unique_ptr<Companion> make_companion(CompanionKind kind, int num_sms) override {
    return make_cuda_companion(kind, num_sms);
  }

 private:
  int gpu_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
  std::optional<GpuBlock> copy_memory_;
};

class CudaMachine final : public RankMachine {
 public:
  explicit CudaMachine(int gpu) : device_(gpu) {}

  Buffer make_buffer(Group& group, const Config& config) override {
    Config mine = config;
    mine.device = device_.index();
    return {group, mine};
  }
  std::unique_ptr<TensorMemory> make_memory() override { return std::make_unique<GpuMemory>(); }
  std::int64_t now_ns() override {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  RankDevice* device() override { return &device_; }

 private:
  CudaRankDevice device_;
};

}  // namespace

std::unique_ptr<RankMachine> make_cuda_machine(int gpu) {
  return std::make_unique<CudaMachine>(gpu);
}

}  // namespace switchyard::bench
