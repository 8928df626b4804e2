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

using cuda::check;

/// Several times what any GPU's last-level cache holds.
constexpr std::size_t kCopyBytes = std::size_t{512} << 20U;
/// Timed together: one takes a quarter of a millisecond.
constexpr int kCopies = 4;

class CudaGraph final : public RecordedWork {
 public:
  CudaGraph(cudaGraphExec_t graph, cudaStream_t stream) : graph_(graph), stream_(stream) {
    check(cudaGraphUpload(graph_, stream_), "bring a graph to the GPU");
  }
  ~CudaGraph() override { (void)cudaGraphExecDestroy(graph_); }

  void run(int times) override {
    for (int i = 0; i < times; ++i) {
      check(cudaGraphLaunch(graph_, stream_), "launch a graph");
    }
    check(cudaStreamSynchronize(stream_), "wait for a graph");
  }

 private:
  cudaGraphExec_t graph_;
  cudaStream_t stream_;
};

class CudaRankDevice final : public RankDevice {
 public:
  explicit CudaRankDevice(int gpu) : gpu_(gpu) {
    check(cudaSetDevice(gpu), "use the GPU");
    // What tests and checks give back stays with the process: unmapping it would wait for kernels.
    cudaMemPool_t pool = nullptr;
    check(cudaDeviceGetDefaultMemPool(&pool, gpu), "the GPU's pool of memory");
    std::uint64_t keep = UINT64_MAX;
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep),
          "keep the GPU's memory");
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
    check(cudaEventCreate(&begin_), "an event");
    check(cudaEventCreate(&end_), "an event");
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
    check(cudaEventRecord(begin_, stream_), "mark the beginning of copies");
    for (int i = 0; i < kCopies; ++i) {
      check(cudaMemcpyAsync(copy_memory_->data() + kCopyBytes,
                            copy_memory_->data(),
                            kCopyBytes,
                            cudaMemcpyDeviceToDevice,
                            stream_),
            "copy");
    }
    check(cudaEventRecord(end_, stream_), "mark the end of copies");
    check(cudaEventSynchronize(end_), "wait for copies");
    float taken_ms = 0;
    check(cudaEventElapsedTime(&taken_ms, begin_, end_), "time copies");
    return 2.0 * kCopies * static_cast<double>(kCopyBytes) / (static_cast<double>(taken_ms) * 1e6);
  }

  void copy(void* to, const void* from, std::uint64_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_), "copy");
    check(cudaStreamSynchronize(stream_), "wait for a copy");
  }

  std::unique_ptr<RecordedWork> record(const std::function<void(void* stream)>& enqueue) override {
    // Of this thread alone: other ranks go on with theirs.
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "begin a graph");
    cudaGraph_t graph = nullptr;
    try {
      enqueue(stream_);
    } catch (...) {
      (void)cudaStreamEndCapture(stream_, &graph);
      throw;
    }
    check(cudaStreamEndCapture(stream_, &graph), "end a graph");
    cudaGraphExec_t made = nullptr;
    const cudaError_t result = cudaGraphInstantiate(&made, graph, 0);
    (void)cudaGraphDestroy(graph);
    check(result, "make a graph ready");
    return std::make_unique<CudaGraph>(made, stream_);
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
