#include "tests/emulated/device/fiber.h"

#include <sys/mman.h>

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace switchyard::emulated {
namespace {

struct Arena {
  std::byte* memory;
  std::size_t num_stacks;
};

std::mutex& pool_mutex() {
  static std::mutex mutex;
  return mutex;
}
std::vector<Arena>& pool() {
  static std::vector<Arena> arenas;
  return arenas;
}

/// The fiber that is being entered for the first time: makecontext takes no pointers.
thread_local Fiber* entering = nullptr;
/// The one that was left last, whose stack AddressSanitizer tells its successor.
thread_local Fiber* left = nullptr;

}  // namespace

StackArena::StackArena(std::size_t num_stacks) : memory_(nullptr), num_stacks_(num_stacks) {
  {
    const std::lock_guard lock(pool_mutex());
    for (Arena& arena : pool()) {
      if (arena.num_stacks == num_stacks) {
        memory_ = arena.memory;
        arena = pool().back();
        pool().pop_back();
        return;
      }
    }
  }
  void* memory = mmap(nullptr,
                      num_stacks * kStackBytes,
                      PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                      -1,
                      0);
  if (memory == MAP_FAILED) {
    throw std::bad_alloc();
  }
  memory_ = static_cast<std::byte*>(memory);
}

StackArena::~StackArena() {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(memory_, num_stacks_ * kStackBytes);
#endif
  const std::lock_guard lock(pool_mutex());
  pool().push_back({memory_, num_stacks_});
}

void Fiber::prepare(std::byte* stack, const std::function<void()>* body) {
  stack_ = stack;
  stack_bottom_ = stack;
  stack_bytes_ = StackArena::kStackBytes;
  body_ = body;
  started_ = false;
}

void Fiber::enter() {
  Fiber* self = entering;
  self->resumed(nullptr);
  (*self->body_)();
  std::abort();  // bodies end in end_in()
}

void Fiber::begin() {
  started_ = true;
  entering = this;
  getcontext(&first_);
  first_.uc_stack.ss_sp = stack_;
  first_.uc_stack.ss_size = StackArena::kStackBytes;
  first_.uc_link = nullptr;
  makecontext(&first_, &Fiber::enter, 0);
  setcontext(&first_);
  std::abort();
}

void Fiber::switch_to(Fiber& next) {
  void* fake_stack = nullptr;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_stack, next.stack_bottom_, next.stack_bytes_);
#endif
  left = this;
  if (_setjmp(registers_) == 0) {
    if (!next.started_) {
      next.begin();
    }
    _longjmp(next.registers_, 1);
  }
  resumed(fake_stack);
}

void Fiber::end_in(Fiber& next) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(nullptr, next.stack_bottom_, next.stack_bytes_);
#endif
  left = this;
  _longjmp(next.registers_, 1);
}

void Fiber::resumed([[maybe_unused]] void* fake_stack) {
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fake_stack, &bottom, &bytes);
  left->stack_bottom_ = bottom;
  left->stack_bytes_ = bytes;
#endif
}

}  // namespace switchyard::emulated
