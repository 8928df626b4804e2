// What ended a group: the first role that waited in vain, for whom, and where. Every target raises
// it in the error records of control_block.h, which are written and read here; every runtime turns
// it into an exception.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

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

/// Whether `a` names an earlier step of the protocol than `b`.
inline bool is_earlier(const Fault& a, const Fault& b) {
  // Kinds of waits stand in the order of an operation's steps.
  using protocol::WaitKind;
  static_assert(WaitKind::kCounts < WaitKind::kAnswer && WaitKind::kAnswer < WaitKind::kRows &&
                WaitKind::kPermit < WaitKind::kRows && WaitKind::kAnnounce < WaitKind::kConsumers);
  return a.epoch != b.epoch ? a.epoch < b.epoch : a.wait.kind < b.wait.kind;
}

/// Who keeps a waiting rank waiting in the end: as long as the rank it waits for waits itself, the
/// one that rank waits for. Returns the last link: reporter, and whom it waits for. Waits form a
/// ring where a message was lost or its tag damaged; then the link at the earliest step, for whoever
/// is waited for there has itself come further: what it had to send is what is missing.
/// `wait_of(rank)`: make_wait() of what a rank waits for that still looks for it; 0: it does not
/// wait
template <class WaitOf>
Fault follow_waits(const Fault& first, int num_ranks, WaitOf wait_of) {
  std::vector<Fault> links{first};
  for (;;) {
    const Fault& last = links.back();
    const auto ring = std::find_if(links.begin(), links.end(), [&](const Fault& link) {
      return link.reporter == last.wait.peer;
    });
    if (ring != links.end()) {
      return *std::min_element(ring, links.end(), is_earlier);
    }
    const protocol::Word wait = wait_of(last.wait.peer);
    const int next = protocol::wait_peer(wait);
    if (next < 0 || next >= num_ranks) {
      return last;
    }
    // Nothing is known of the words that it looks at.
    links.push_back({last.cause,
                     last.wait.peer,
                     protocol::wait_role(wait),
                     {protocol::wait_kind(wait), next, protocol::wait_channel(wait), 0, 0},
                     protocol::wait_operation(wait, last.epoch)});
  }
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
SY_HOST_DEVICE inline Fault read_record(const protocol::ErrorRecord& record) {
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
