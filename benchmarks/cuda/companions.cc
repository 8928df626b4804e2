#include "benchmarks/cuda/companions.h"

#include "csrc/targets/cuda/cuda_error.h"

namespace switchyard::bench {

GpuBlock::GpuBlock(std::size_t bytes) {
  void* memory = nullptr;
  cuda::check(cudaMalloc(&memory, bytes), "memory of the GPU for the benchmark");
  data_ = static_cast<std::byte*>(memory);
  cuda::check(cudaMemset(memory, 0, bytes), "clear memory of the GPU");
}

GpuBlock::~GpuBlock() {
  (void)cudaFree(data_);
}

CompanionStream::CompanionStream() {
  int least = 0;
  int greatest = 0;
  cuda::check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "stream priorities");
  cuda::check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, least), "a stream");
  cuda::check(cudaEventCreate(&begin_), "an event");
  cuda::check(cudaEventCreate(&end_), "an event");
}

CompanionStream::~CompanionStream() {
  (void)cudaStreamSynchronize(stream_);
  (void)cudaEventDestroy(end_);
  (void)cudaEventDestroy(begin_);
  (void)cudaStreamDestroy(stream_);
}

void CompanionStream::begin() {
  cuda::check(cudaEventRecord(begin_, stream_), "mark the beginning of a companion");
}

void CompanionStream::end() {
  cuda::check(cudaEventRecord(end_, stream_), "mark the end of a companion");
}

bool CompanionStream::done() {
  const cudaError_t result = cudaEventQuery(end_);
  if (result == cudaErrorNotReady) {
    (void)cudaGetLastError();  // else the caller's next check would report it
    return false;
  }
  cuda::check(result, "look for the end of a companion");
  return true;
}

double CompanionStream::take_us() {
  cuda::check(cudaEventSynchronize(end_), "wait for a companion");
  float taken_ms = 0;
  cuda::check(cudaEventElapsedTime(&taken_ms, begin_, end_), "time a companion");
  return static_cast<double>(taken_ms) * 1e3;
}

std::unique_ptr<Companion> make_cuda_companion(CompanionKind kind, int num_sms) {
  return kind == CompanionKind::kGemm ? make_gemm(num_sms) : make_cache_victim(num_sms);
}

}  // namespace switchyard::bench
