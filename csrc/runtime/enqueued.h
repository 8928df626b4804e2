// Operations on a device that nobody finishes: what their kernels tell, until somebody looks. A
// captured one may run any number of times, for as long as its result lives.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "csrc/runtime/operation.h"
#include "csrc/targets/device.h"

namespace switchyard::runtime {

/// Called by: the thread that calls the buffer
class EnqueuedOperations {
 public:
  /// Places for outcomes: enqueued operations that have not ended, and captured ones with a result
  /// that lives. Some hundred bytes each; too few: enqueue() waits for the oldest, or refuses.
  static constexpr std::size_t kMost = 256;

  EnqueuedOperations() = default;
  EnqueuedOperations(const EnqueuedOperations&) = delete;
  EnqueuedOperations& operator=(const EnqueuedOperations&) = delete;
  ~EnqueuedOperations();

  void use(std::shared_ptr<targets::Device> device);

  /// A place that no operation uses, all zeroes.
  /// Errors: InvalidState when captured operations have them all
  cuda::Outcome* take_outcome();
  /// `mark` null: it is part of a graph. Returns what its result holds alive.
  std::shared_ptr<void> add(std::shared_ptr<Operation> operation, targets::Mark mark);

  /// Forgets operations that have ended, or whose result is gone, and hands the oldest whose kernel
  /// told that something went wrong to the caller, who clears its outcome.
  std::shared_ptr<Operation> next_noted();
  /// Number of the newest of those that have ended; 0 for none.
  [[nodiscard]] std::uint64_t newest_ended() const { return newest_ended_; }

  /// Until all that are not part of a graph have ended.
  void wait();

 private:
  struct Entry {
    std::shared_ptr<Operation> operation;
    targets::Mark mark;
    std::weak_ptr<void> alive;
  };

  [[nodiscard]] bool is_over(const Entry& entry) const;
  void give_back(const Entry& entry);

  std::shared_ptr<targets::Device> device_;
  std::byte* memory_ = nullptr;
  std::vector<cuda::Outcome*> free_;
  std::vector<Entry> entries_;  // oldest first
  std::uint64_t newest_ended_ = 0;
};

}  // namespace switchyard::runtime
