// The roles of one operation on one rank, ready to be run by workers, and what became of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "csrc/protocol/progress.h"
#include "csrc/targets/host/host_warp.h"

namespace switchyard::host {

/// A role whose type the workers need not know.
class AnyRole {
 public:
  AnyRole() = default;
  AnyRole(const AnyRole&) = delete;
  AnyRole& operator=(const AnyRole&) = delete;
  virtual ~AnyRole() = default;

  virtual protocol::Progress step(HostWarp& warp) = 0;
  [[nodiscard]] virtual const protocol::WaitPoint& wait() const = 0;
  [[nodiscard]] virtual protocol::RoleKind kind() const = 0;
};

template <class Role>
class RoleBox final : public AnyRole {
 public:
  template <class... Args>
  explicit RoleBox(Args&&... args) : role_(std::forward<Args>(args)...) {}

  protocol::Progress step(HostWarp& warp) override { return role_.step(warp); }
  [[nodiscard]] const protocol::WaitPoint& wait() const override { return role_.wait(); }
  [[nodiscard]] protocol::RoleKind kind() const override { return Role::kKind; }

 private:
  Role role_;
};

/// Owned by the operation and by the workers that still run its roles.
class Job {
 public:
  explicit Job(std::uint64_t epoch) : epoch_(epoch) {}

  /// Adds a role for the worker that runs `channel`; before submission only.
  template <class Role, class... Args>
  void add(int channel, Args&&... args) {
    roles_.push_back({channel, std::make_unique<RoleBox<Role>>(std::forward<Args>(args)...)});
  }

  struct PlacedRole {
    int channel;
    std::unique_ptr<AnyRole> role;
  };
  /// Hands the roles to the workers.
  std::vector<PlacedRole> take_roles() {
    roles_left_.store(static_cast<int>(roles_.size()), std::memory_order_relaxed);
    return std::move(roles_);
  }

  [[nodiscard]] std::uint64_t epoch() const { return epoch_; }
  [[nodiscard]] bool done() const { return roles_left_.load(std::memory_order_acquire) == 0; }
  /// One role ended. True for the last one.
  bool end_role() { return roles_left_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  /// A role threw; the first exception is kept for whoever finishes the operation.
  void set_exception(std::exception_ptr exception) {
    const std::lock_guard lock(mutex_);
    if (exception_ == nullptr) {
      exception_ = std::move(exception);
    }
  }
  [[nodiscard]] std::exception_ptr exception() const {
    const std::lock_guard lock(mutex_);
    return exception_;
  }

  /// The group failed under this operation (FaultBoard says how).
  void set_faulted() { faulted_.store(true, std::memory_order_release); }
  [[nodiscard]] bool faulted() const { return faulted_.load(std::memory_order_acquire); }

 private:
  std::uint64_t epoch_;
  std::vector<PlacedRole> roles_;
  std::atomic<int> roles_left_{0};
  std::atomic<bool> faulted_{false};
  mutable std::mutex mutex_;
  std::exception_ptr exception_;
};

}  // namespace switchyard::host
