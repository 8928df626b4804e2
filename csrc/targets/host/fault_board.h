// The group's first fault: one record per rank, pushed to all by the role that met it, read by
// every worker before each round. A raised board never comes down; the buffer is rebuilt.
#pragma once

#include <cstdint>
#include <optional>

#include "csrc/protocol/control_block.h"
#include "csrc/protocol/peers.h"
#include "csrc/targets/fault.h"

namespace switchyard::host {

using targets::Fault;

class FaultBoard {
 public:
  FaultBoard(const protocol::Peers& peers, const protocol::ControlLayout& control)
      : peers_(peers), control_(control) {}

  /// Makes the fault the group's, unless it has one already: rank 0's record decides, so that all
  /// ranks tell of the same. Copies the group's fault to every record that is still empty, and
  /// rings every bell.
  void raise(const Fault& fault) const;

  /// Notes that this rank looked, and for which peer it waits, in which operation.
  void note_wait(std::uint64_t epoch,
                 protocol::RoleKind role,
                 const protocol::WaitPoint& wait) const;

  /// targets::follow_waits over the boards of all ranks. Takes some 50 ms for each link. The
  /// group's fault is empty so far.
  [[nodiscard]] Fault follow(const Fault& first) const;

  [[nodiscard]] bool raised() const;

  /// The fault in this rank's record, if there is one; lets a writer that is at it finish, within a
  /// second.
  [[nodiscard]] std::optional<Fault> read() const;

 private:
  [[nodiscard]] protocol::ErrorRecord* record(int rank) const;
  [[nodiscard]] protocol::WaitBoard* waits(int rank) const;
  void look_on() const;
  [[nodiscard]] std::optional<Fault> read(int rank) const;

  protocol::Peers peers_;
  protocol::ControlLayout control_;
};

}  // namespace switchyard::host
