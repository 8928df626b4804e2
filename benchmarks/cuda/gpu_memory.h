// Tensors in GPU memory: copies of the caller's own, and what the caller sees of the buffer's.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "benchmarks/common/tensor_memory.h"

namespace switchyard::bench {

/// Waits for nothing but its own copies: ranks that share a GPU wait for each other inside kernels,
/// and whoever waits for all kernels would wait for itself.
class GpuMemory final : public TensorMemory {
 public:
  GpuMemory();
  ~GpuMemory() override;

  TensorView given(const ConstTensorView& view) override;
  ConstTensorView seen(const ConstTensorView& view) override;
  void take_back(const ConstTensorView& given, const TensorView& to) override;
  void edit(const TensorView& view, const std::function<void(const TensorView&)>& write) override;

 private:
  std::byte* keep_on_host(std::size_t bytes);
  void copy(void* to, const void* from, std::size_t bytes);

  cudaStream_t stream_ = nullptr;
  std::vector<void*> on_gpu_;
  std::vector<std::unique_ptr<std::byte[]>> on_host_;
};

}  // namespace switchyard::bench
