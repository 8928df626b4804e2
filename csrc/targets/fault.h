// What ended a group: the first role that waited in vain, for whom, and where. Every target raises
// it in the error records of control_block.h, which are written and read here; every runtime turns
// it into an exception.
#pragma once

#include <cstdint>

#include "csrc/protocol/control_block.h"
#include "csrc/protocol/operation.h"
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

/// Who keeps a waiting rank waiting in the end: as long as the rank it waits for waits itself, the
/// one that rank waits for. Returns the last link: reporter, and whom it waits for. Where waits
/// form a ring, the last link before it closes: any of them is as good, and nobody waits in a ring
/// unless the protocol is broken. `wait_of(rank)`: make_wait() of what a rank waits for that still
/// looks for it; 0: it does not wait
template <class WaitOf>
Fault follow_waits(const Fault& first, int num_ranks, WaitOf wait_of) {
  Fault last = first;
  for (int links = 1; links < num_ranks; ++links) {
    const protocol::Word wait = wait_of(last.wait.peer);
    const int next = protocol::wait_peer(wait);
    if (next < 0 || next >= num_ranks || next == first.reporter) {
      return last;
    }
    last.reporter = last.wait.peer;
    last.role = static_cast<protocol::RoleKind>(protocol::wait_role(wait));
    // Nothing is known of the words that it looks at.
    last.wait = {static_cast<protocol::WaitKind>(protocol::wait_kind(wait)),
                 next,
                 protocol::wait_channel(wait),
                 0,
                 0};
  }
  return last;
}

/// Whether an operation ended on what a peer sent: only this rank knows, while peers may still write
/// where it told them, so the group ends with corruption_fault().
SY_HOST_DEVICE inline bool is_corrupt(const protocol::LocalFlags& flags,
                                      const protocol::Failure& failure) {
  return flags.corrupt != 0 || protocol::ends_group(failure.kind);
}

SY_HOST_DEVICE inline Fault corruption_fault(const protocol::LocalFlags& flags,
                                             const protocol::Failure& failure,
                                             int reporter,
                                             std::uint64_t epoch) {
  Fault fault;
  fault.reporter = reporter;
  fault.wait.peer =
      flags.corrupt != 0 ? static_cast<std::int32_t>(flags.corrupt) - 1 : failure.rank;
  fault.epoch = epoch;
  return fault;
}

/// ErrorRecord::state. Whoever turns it from none to writing fills the record and makes it readable
/// by a release.
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
