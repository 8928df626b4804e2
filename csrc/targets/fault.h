// What ended a group: the first role that waited in vain, for whom, and where. Every target raises
// it in the error records of control_block.h, every runtime turns it into an exception.
#pragma once

#include <cstdint>

#include "csrc/protocol/progress.h"
#include "switchyard/error.h"

namespace switchyard::targets {

struct Fault {
  ErrorCode cause = ErrorCode::kInternal;  ///< kTimeout, kPeerLost or kInternal
  int reporter = -1;
  protocol::RoleKind role = protocol::RoleKind::kCountExchange;
  protocol::WaitPoint wait;
  std::uint64_t epoch = 0;
};

}  // namespace switchyard::targets
