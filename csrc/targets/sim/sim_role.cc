#include "csrc/targets/sim/sim_role.h"

#include <type_traits>

namespace switchyard::sim {

using protocol::Progress;

Progress SimRole::step() {
  const std::uint64_t effects = warp_.num_effects();
  tables_->enter(warp_.id());
  const Progress progress = std::visit([&](auto& role) { return role.step(warp_); }, role_);
  tables_->leave(warp_.id());
  done_ = progress == Progress::kDone;
  num_advanced_ += progress == Progress::kAdvanced ? 1 : 0;
  if (progress == Progress::kBlocked && warp_.num_effects() != effects) {
    throw ModelViolation(name_ + " stored something in a step that it calls blocked");
  }
  return progress;
}

const protocol::WaitPoint& SimRole::wait() const {
  return std::visit([](const auto& role) -> const protocol::WaitPoint& { return role.wait(); },
                    role_);
}

protocol::RoleKind SimRole::kind() const {
  return std::visit([](const auto& role) { return std::decay_t<decltype(role)>::kKind; }, role_);
}

}  // namespace switchyard::sim
