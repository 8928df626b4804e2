// A lane's own stack: runs a function on it, leaves it in the middle and comes back. Which fiber
// runs is the scheduler's business (block.h).
#pragma once

#include <ucontext.h>

#include <csetjmp>
#include <cstddef>
#include <functional>

namespace switchyard::emulated {

/// The stacks of one block, taken from a pool of the process so that their pages are touched once.
class StackArena {
 public:
  explicit StackArena(std::size_t num_stacks);
  ~StackArena();
  StackArena(const StackArena&) = delete;
  StackArena& operator=(const StackArena&) = delete;

  [[nodiscard]] std::byte* stack(std::size_t index) const { return memory_ + index * kStackBytes; }

  static constexpr std::size_t kStackBytes = std::size_t{128} * 1024;

 private:
  std::byte* memory_;
  std::size_t num_stacks_;
};

/// Where a thread of execution goes on: a fiber, or the scheduler between fibers.
class Fiber {
 public:
  /// The scheduler's, which has the stack of its OS thread.
  Fiber() = default;
  /// Lifetime: `stack` and `body` outlive the fiber. `body` does not throw and ends in switch_to().
  void prepare(std::byte* stack, const std::function<void()>* body);

  /// Leaves this fiber, which is running, for `next`; returns when somebody switches back.
  void switch_to(Fiber& next);
  /// As switch_to, for a fiber that will not run again.
  [[noreturn]] void end_in(Fiber& next);

 private:
  static void enter();
  [[noreturn]] void begin();
  void resumed(void* fake_stack);

  std::jmp_buf registers_{};
  ucontext_t first_{};
  std::byte* stack_ = nullptr;
  const void* stack_bottom_ = nullptr;  // for AddressSanitizer: of the scheduler, learned late
  std::size_t stack_bytes_ = 0;
  const std::function<void()>* body_ = nullptr;
  bool started_ = true;
};

}  // namespace switchyard::emulated
