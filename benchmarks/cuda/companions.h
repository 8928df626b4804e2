// Work that transfers run beside on the same GPU: a kernel that lives in the last-level cache, and
// a large matrix product. Each leaves SMs to the transfers.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "benchmarks/common/rank_machine.h"

namespace switchyard::bench {

/// Memory of the current GPU, all zeroes. Made and given back while no rank waits inside a kernel.
class GpuBlock {
 public:
  explicit GpuBlock(std::size_t bytes);
  GpuBlock(const GpuBlock&) = delete;
  GpuBlock& operator=(const GpuBlock&) = delete;
  ~GpuBlock();

  [[nodiscard]] std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
};

/// A stream of the lowest priority with marks before and behind a piece of work.
class CompanionStream {
 public:
  CompanionStream();
  CompanionStream(const CompanionStream&) = delete;
  CompanionStream& operator=(const CompanionStream&) = delete;
  ~CompanionStream();

  [[nodiscard]] cudaStream_t get() const { return stream_; }
  void begin();
  void end();
  [[nodiscard]] bool done();
  double take_us();

 private:
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

/// Errors: SystemError with CUDA's text, or that this build has no cuBLAS
std::unique_ptr<Companion> make_cuda_companion(CompanionKind kind, int num_sms);
std::unique_ptr<Companion> make_cache_victim(int num_sms);
std::unique_ptr<Companion> make_gemm(int num_sms);

}  // namespace switchyard::bench
