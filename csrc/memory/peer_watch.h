// Tells which peer processes have died, without their help. Ranks that share this process are
// always alive.
#pragma once

#include <vector>

#include "switchyard/bootstrap.h"

namespace switchyard::memory {

/// Collective construction; afterwards each rank watches alone. is_dead is thread-safe and takes
/// one system call.
class PeerWatch {
 public:
  /// Watches each peer by a process descriptor (pidfd), which a later process with the same PID
  /// cannot take over. A peer that cannot be watched (another PID namespace, an old kernel) counts
  /// as alive: its loss then shows as a Timeout.
  explicit PeerWatch(Bootstrap& bootstrap);
  PeerWatch(const PeerWatch&) = delete;
  PeerWatch& operator=(const PeerWatch&) = delete;
  ~PeerWatch();

  /// Whether the process of `rank` has ended. Ranks that cannot be watched, and this process
  /// itself, are never dead.
  [[nodiscard]] bool is_dead(int rank) const;

 private:
  std::vector<int> pidfds_;  // by rank; negative: not watched, or dead before it could be
};

}  // namespace switchyard::memory
