// A role of csrc/protocol with a warp of its own, stepped by whoever schedules.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "csrc/protocol/roles.h"
#include "csrc/targets/sim/private_tables.h"
#include "csrc/targets/sim/sim_warp.h"

namespace switchyard::sim {

/// One role of an operation with a warp of its own, as on a GPU: the weakest of all targets.
class SimRole {
 public:
  template <class Role>
  SimRole(Role role,
          WeakMemory& memory,
          const protocol::OperationArgs& op,
          int channel,
          std::shared_ptr<PrivateTables> tables);

  /// Throws ModelViolation when a blocked step had an effect that others can notice.
  protocol::Progress step();

  /// Before the first step, with several nodes.
  void attach(Network& network) { warp_.attach(network); }

  [[nodiscard]] bool done() const { return done_; }
  /// The worker took the role away: the group failed.
  void drop() { done_ = true; }
  [[nodiscard]] const protocol::WaitPoint& wait() const;
  [[nodiscard]] protocol::RoleKind kind() const;
  [[nodiscard]] int warp() const { return warp_.id(); }
  /// All that its state depends on, as one number.
  [[nodiscard]] std::uint64_t digest() const {
    return (warp_.observations() + num_advanced_) * 2 + (done_ ? 1 : 0);
  }
  /// "rank 1 operation 3 scale-up send 0".
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  using AnyRole = std::variant<protocol::CountExchange,
                               protocol::ScaleUpSend,
                               protocol::ScaleUpReceive,
                               protocol::CombineAnnounce,
                               protocol::CombineCopyIn,
                               protocol::CombineAccumulate,
                               protocol::NodeRelay,
                               protocol::ScaleOutSend,
                               protocol::Forward,
                               protocol::ForwardAccumulate,
                               protocol::ReceiveAccumulate>;

  std::string name_;
  AnyRole role_;
  SimWarp warp_;
  std::shared_ptr<PrivateTables> tables_;  // of its operation
  bool done_ = false;
  std::uint64_t num_advanced_ = 0;
};

template <class Role>
SimRole::SimRole(Role role,
                 WeakMemory& memory,
                 const protocol::OperationArgs& op,
                 int channel,
                 std::shared_ptr<PrivateTables> tables)
    : name_(fmt::format("rank {} operation {} {} {}",
                        op.self(),
                        op.epoch,
                        protocol::role_name(Role::kKind),
                        channel)),
      role_(std::move(role)),
      warp_(memory, op.self(), name_),
      tables_(std::move(tables)) {}

}  // namespace switchyard::sim
