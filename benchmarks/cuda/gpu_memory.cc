#include "benchmarks/cuda/gpu_memory.h"

#include "csrc/targets/cuda/cuda_error.h"

namespace switchyard::bench {
namespace {

using cuda::check;

/// From the first byte of the first element to the last of the last.
std::size_t extent_of(const ConstTensorView& view) {
  if (view.num_elems() == 0) {
    return 0;
  }
  std::int64_t last = 0;
  for (int i = 0; i < view.ndim; ++i) {
    const auto dim = static_cast<std::size_t>(i);
    last += (view.shape[dim] - 1) * view.strides[dim];
  }
  return static_cast<std::size_t>(last + 1) * dtype_bytes(view.dtype);
}

TensorView moved(const ConstTensorView& view, void* data) {
  TensorView result;
  result.data = data;
  result.dtype = view.dtype;
  result.ndim = view.ndim;
  result.shape = view.shape;
  result.strides = view.strides;
  return result;
}

}  // namespace

GpuMemory::GpuMemory() {
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "create a stream");
}

GpuMemory::~GpuMemory() {
  for (void* memory : on_gpu_) {
    (void)cudaFreeAsync(memory, stream_);
  }
  (void)cudaStreamDestroy(stream_);
}

TensorView GpuMemory::given(const ConstTensorView& view) {
  const std::size_t bytes = extent_of(view);
  if (bytes == 0) {
    return moved(view, nullptr);
  }
  void* memory = nullptr;
  check(cudaMallocAsync(&memory, bytes, stream_), "allocate");
  on_gpu_.push_back(memory);
  copy(memory, view.data, bytes);
  return moved(view, memory);
}

ConstTensorView GpuMemory::seen(const ConstTensorView& view) {
  const std::size_t bytes = extent_of(view);
  std::byte* data = keep_on_host(bytes);
  copy(data, view.data, bytes);
  return moved(view, data);
}

void GpuMemory::take_back(const ConstTensorView& given, const TensorView& to) {
  copy(to.data, given.data, extent_of(given));
}

void GpuMemory::edit(const TensorView& view, const std::function<void(const TensorView&)>& write) {
  const std::size_t bytes = extent_of(view);
  std::byte* data = keep_on_host(bytes);
  copy(data, view.data, bytes);
  write(moved(view, data));
  copy(view.data, data, bytes);
}

std::byte* GpuMemory::keep_on_host(std::size_t bytes) {
  on_host_.push_back(std::make_unique<std::byte[]>(bytes));
  return on_host_.back().get();
}

void GpuMemory::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes != 0) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_), "copy");
    check(cudaStreamSynchronize(stream_), "wait for a copy");
  }
}

}  // namespace switchyard::bench
