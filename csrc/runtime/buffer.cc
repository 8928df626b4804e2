// The public faces of Buffer, Pending and HeapTensor over BufferState.
#include "switchyard/buffer.h"

#include <utility>

#include "csrc/runtime/device_buffer.h"
#include "csrc/runtime/host_buffer.h"
#include "csrc/runtime/results.h"
#include "switchyard/error.h"

namespace switchyard {

template <class Result>
Pending<Result>& Pending<Result>::operator=(Pending&& other) noexcept {
  if (this != &other) {
    if (buffer_ != nullptr) {
      buffer_->abandon(operation_);
    }
    buffer_ = std::move(other.buffer_);
    operation_ = std::move(other.operation_);
  }
  return *this;
}

template <class Result>
Pending<Result>::~Pending() {
  if (buffer_ != nullptr) {
    buffer_->abandon(operation_);
  }
}

template <class Result>
bool Pending<Result>::ready() const {
  return operation_ != nullptr && buffer_->is_done(*operation_);
}

template <class Result>
Result Pending<Result>::finish() {
  if (operation_ == nullptr) {
    throw InvalidState(
        "finish: got a second call or an empty operation, wanted one call per operation");
  }
  const auto operation = std::exchange(operation_, nullptr);
  if constexpr (std::is_same_v<Result, DispatchResult>) {
    return buffer_->finish_dispatch(operation);
  } else {
    return buffer_->finish_combine(operation);
  }
}

template class Pending<DispatchResult>;
template class Pending<CombineResult>;

HeapTensor::HeapTensor(HeapTensor&& other) noexcept
    : buffer_(std::move(other.buffer_)), offset_(other.offset_), view_(other.view_) {}

HeapTensor& HeapTensor::operator=(HeapTensor&& other) noexcept {
  if (this != &other) {
    release();
    buffer_ = std::move(other.buffer_);
    offset_ = other.offset_;
    view_ = other.view_;
  }
  return *this;
}

HeapTensor::~HeapTensor() {
  release();
}

TensorView HeapTensor::view() const {
  if (buffer_ == nullptr) {
    throw InvalidState(
        "HeapTensor: got a use after release (or of an empty tensor), wanted a live one");
  }
  return view_;
}

void HeapTensor::release() {
  if (buffer_ != nullptr) {
    buffer_->release_region(offset_);
    buffer_.reset();
  }
}

Buffer::Buffer(Group& group, const Config& config) {
  if (config.target == Target::kCuda) {
    state_ = std::make_shared<runtime::DeviceBuffer>(group, config, [&config] {
      return targets::make_cuda_device({config.device, config.num_sms, config.cache_hints});
    });
  } else {
    state_ = std::make_shared<runtime::HostBuffer>(group, config);
  }
}
Buffer::Buffer(Buffer&&) noexcept = default;
Buffer& Buffer::operator=(Buffer&&) noexcept = default;
Buffer::~Buffer() = default;

PendingDispatch Buffer::issue(const DispatchRequest& request) {
  return state_->issue(request, true);
}
DispatchResult Buffer::dispatch(const DispatchRequest& request) {
  return state_->issue(request, false).finish();
}
PendingCombine Buffer::issue(const CombineRequest& request) {
  return state_->issue(request, true);
}
CombineResult Buffer::combine(const CombineRequest& request) {
  return state_->issue(request, false).finish();
}
DispatchResult Buffer::enqueue(const DispatchRequest& request) {
  return state_->enqueue(request);
}
CombineResult Buffer::enqueue(const CombineRequest& request) {
  return state_->enqueue(request);
}
void Buffer::check_enqueued() {
  state_->check_enqueued();
}
HeapTensor Buffer::allocate(DType dtype, std::initializer_list<std::int64_t> shape) {
  return state_->allocate(dtype, shape);
}
Trace Buffer::take_trace() {
  return state_->take_trace();
}
const Config& Buffer::config() const {
  return state_->config();
}
std::vector<int> Buffer::lost_ranks() const {
  return state_->lost_ranks();
}
MemoryUse Buffer::memory_use() const {
  return state_->memory_use();
}
std::string Buffer::describe() const {
  return state_->describe();
}

}  // namespace switchyard
