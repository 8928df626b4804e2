// The part of DeviceBuffer that stays on the caller's stream: nothing here waits on the CPU.
#include <string>
#include <utility>

#include "csrc/runtime/device_buffer.h"
#include "csrc/runtime/results.h"
#include "csrc/runtime/validate.h"
#include "switchyard/error.h"

namespace switchyard::runtime {

void DeviceBuffer::prepare_to_enqueue(void* stream) {
  if (stream == nullptr) {
    refuse("enqueue stream", "none", "the stream whose work comes before and behind");
  }
  check_enqueued();
}

std::shared_ptr<void> DeviceBuffer::keep_enqueued(const std::shared_ptr<Operation>& operation,
                                                  void* stream) {
  retire(*operation);
  const bool recorded = device_->is_recording(nullptr);
  targets::Mark mark = recorded ? nullptr : device_->mark();
  device_->let_wait(stream);
  return enqueued_.add(operation, std::move(mark));
}

DispatchResult DeviceBuffer::enqueue(const DispatchRequest& request) {
  prepare_to_enqueue(request.stream);
  const bool compact = request.layout != Layout::kPadded && !request.handle.valid();
  if (compact && request.max_rows <= 0) {
    refuse("enqueue max_rows",
           std::to_string(request.max_rows),
           "rows that the landing is laid out for: the host does not learn how many come");
  }
  const auto operation = launch(request, true);
  const auto alive = keep_enqueued(operation, request.stream);
  // After a failure that is seen too late, peers may write into padded places for a while.
  const bool padded = operation->handle->layout == Layout::kPadded;
  auto rows = std::make_unique<LandedRows>(
      shared_from_this(), *operation, padded ? GiveBack::kUnseen : GiveBack::kPlain);
  rows->alive = alive;
  return make_result(operation->handle, std::move(rows));
}

CombineResult DeviceBuffer::enqueue(const CombineRequest& request) {
  prepare_to_enqueue(request.stream);
  const auto operation = launch(request, true);
  const auto alive = keep_enqueued(operation, request.stream);
  auto rows = std::make_unique<CombinedRows>(shared_from_this(), *operation);
  rows->alive = alive;
  return make_result(std::move(rows));
}

void DeviceBuffer::check_enqueued() {
  if (device_->is_recording(nullptr)) {
    return;  // nothing may be asked of the device then
  }
  {
    const std::lock_guard lock(unseen_mutex_);
    for (const std::uint64_t region : unseen_) {
      quarantine(region, epoch_);
    }
    unseen_.clear();
  }
  if (const auto operation = enqueued_.next_noted()) {
    try {
      throw_if_unsuccessful(*operation);
    } catch (...) {
      *operation->outcome = cuda::Outcome{};
      throw;
    }
  }
  release_quarantined(enqueued_.newest_ended());
}

void DeviceBuffer::release_unseen(std::uint64_t offset) {
  const std::lock_guard lock(unseen_mutex_);
  unseen_.push_back(offset);
}

}  // namespace switchyard::runtime
