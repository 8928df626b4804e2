// How a rank with nothing to do sleeps without missing a message, across threads and processes: one
// futex word a rank.
#pragma once

#include <chrono>
#include <cstdint>

#include "csrc/protocol/control_block.h"

namespace switchyard::host {

/// A view of one rank's bell in its control block. Copyable; owns nothing.
///
/// A sleeper calls arm(), looks once more for work, and only then sleep(). Whoever publishes
/// something calls ring() after the store. arm() and ring() are read-modify-writes of one word, so
/// one of them comes second: either the ringer sees the sleeper and wakes it, or the sleeper has
/// synchronised with the ringer and its last look sees the store.
class BellView {
 public:
  explicit BellView(protocol::Bell* bell) : bell_(bell) {}

  /// Wakes every thread of the rank that is asleep; cheap when none is.
  void ring() const;

  /// Announces the intention to sleep. Returns the ticket for sleep().
  [[nodiscard]] std::uint32_t arm() const;

  /// Sleeps until the bell rings after arm() returned `ticket`, or until `limit` has passed.
  void sleep(std::uint32_t ticket, std::chrono::microseconds limit) const;

 private:
  protocol::Bell* bell_;
};

}  // namespace switchyard::host
