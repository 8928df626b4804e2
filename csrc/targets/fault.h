// What ended a group: the first role that waited in vain, for whom, and where. Every target raises
// it in the error records of control_block.h, which are written and read here; every runtime turns it
// into an exception.
#pragma once

#include <cstdint>

#include "csrc/protocol/control_block.h"
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

/// ErrorRecord::state. Whoever turns it from none to writing fills the record and makes it readable by
/// a release.
inline constexpr protocol::Word kFaultNone = 0;
inline constexpr protocol::Word kFaultWriting = 1;
inline constexpr protocol::Word kFaultReadable = 2;

/// Every field but the state.
SY_HOST_DEVICE inline void write_record(protocol::ErrorRecord& record, const Fault& fault) {
  record.reporter = fault.reporter;
  record.peer = fault.wait.peer;
  record.cause = static_cast<std::uint32_t>(fault.cause);
  record.role = static_cast<std::uint32_t>(fault.role);
  record.channel = fault.wait.channel;
  record.wait = static_cast<std::uint32_t>(fault.wait.kind);
  record.expected = fault.wait.expected;
  record.seen = fault.wait.seen;
  record.epoch = fault.epoch;
}

/// What write_record wrote.
inline Fault read_record(const protocol::ErrorRecord& record) {
  return {static_cast<ErrorCode>(record.cause),
          record.reporter,
          static_cast<protocol::RoleKind>(record.role),
          {static_cast<protocol::WaitKind>(record.wait),
           record.peer,
           record.channel,
           record.expected,
           record.seen},
          record.epoch};
}

}  // namespace switchyard::targets
