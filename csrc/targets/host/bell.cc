#include "csrc/targets/host/bell.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <ctime>

namespace switchyard::host {

void BellView::ring() const {
  const std::atomic_ref<std::uint32_t> sleeping(bell_->sleeping);
  // Pairs with arm(): whichever exchange comes second sees what the other side did before its own.
  if (sleeping.exchange(0, std::memory_order_acq_rel) == 0) {
    return;
  }
  std::atomic_ref<std::uint32_t>(bell_->rings).fetch_add(1, std::memory_order_release);
  // Not FUTEX_PRIVATE: the sleeper may be another process. Nothing to do about an error: the
  // sleeper wakes by its limit.
  syscall(SYS_futex, &bell_->rings, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

std::uint32_t BellView::arm() const {
  const std::uint32_t ticket =
      std::atomic_ref<std::uint32_t>(bell_->rings).load(std::memory_order_acquire);
  std::atomic_ref<std::uint32_t>(bell_->sleeping).exchange(1, std::memory_order_acq_rel);
  return ticket;
}

void BellView::sleep(std::uint32_t ticket, std::chrono::microseconds limit) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const timespec timeout{
      seconds.count(),
      std::chrono::duration_cast<std::chrono::nanoseconds>(limit - seconds).count()};
  // Every outcome (woken, changed, interrupted, timed out) means: look again.
  syscall(SYS_futex, &bell_->rings, FUTEX_WAIT, ticket, &timeout, nullptr, 0);
}

}  // namespace switchyard::host
