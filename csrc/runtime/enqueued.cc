#include "csrc/runtime/enqueued.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "switchyard/error.h"

namespace switchyard::runtime {
namespace {

/// Pairs with the release of Outcome::noted in operation_block.h: what it is about is there.
bool is_noted(cuda::Outcome& outcome) {
  return std::atomic_ref(outcome.noted).load(std::memory_order_acquire) != 0;
}

}  // namespace

EnqueuedOperations::~EnqueuedOperations() {
  if (memory_ != nullptr) {
    device_->release_host(memory_);
  }
}

void EnqueuedOperations::use(std::shared_ptr<targets::Device> device) {
  device_ = std::move(device);
  memory_ = device_->allocate_host(kMost * sizeof(cuda::Outcome));
  for (std::size_t i = 0; i < kMost; ++i) {
    free_.push_back(reinterpret_cast<cuda::Outcome*>(memory_) + i);
  }
}

cuda::Outcome* EnqueuedOperations::take_outcome() {
  if (free_.empty() && !device_->is_recording(nullptr)) {
    const auto waits = std::find_if(
        entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.mark != nullptr; });
    if (waits != entries_.end()) {
      device_->wait(waits->mark);
      (void)next_noted();
    }
  }
  if (free_.empty()) {
    throw InvalidState(
        fmt::format("enqueue: got one more while {} operations are captured or under way, wanted "
                    "fewer; release results of graphs that are not launched any more",
                    kMost));
  }
  cuda::Outcome* outcome = free_.back();
  free_.pop_back();
  *outcome = cuda::Outcome{};
  return outcome;
}

std::shared_ptr<void> EnqueuedOperations::add(std::shared_ptr<Operation> operation,
                                              targets::Mark mark) {
  auto alive = std::make_shared<int>(0);
  entries_.push_back({std::move(operation), std::move(mark), alive});
  return alive;
}

bool EnqueuedOperations::is_over(const Entry& entry) const {
  return entry.mark != nullptr ? device_->reached(entry.mark) : entry.alive.expired();
}

void EnqueuedOperations::give_back(const Entry& entry) {
  free_.push_back(entry.operation->outcome);
  if (entry.mark != nullptr) {
    newest_ended_ = std::max(newest_ended_, entry.operation->epoch);
  }
}

std::shared_ptr<Operation> EnqueuedOperations::next_noted() {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const bool over = is_over(*entry);  // before the look: what it told is there then
    if (is_noted(*entry->operation->outcome)) {
      return entry->operation;
    }
    if (over) {
      give_back(*entry);
      entry = entries_.erase(entry);
    } else {
      ++entry;
    }
  }
  return nullptr;
}

void EnqueuedOperations::wait() {
  for (const Entry& entry : entries_) {
    if (entry.mark != nullptr) {
      device_->wait(entry.mark);
    }
  }
}

}  // namespace switchyard::runtime
