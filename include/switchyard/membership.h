// Groups that lose and gain ranks: who of the world's ranks takes part, and how those that are
// left, or have come back, meet again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "switchyard/bootstrap.h"

namespace switchyard {

/// The members of a group among all ranks that there were to be, the world. Ranks of the group are
/// numbered by place in `members`; experts keep the numbers they have in the world, so that the
/// survivors of a fault go on with the routing they had: entries for experts of ranks that are no
/// members are *lost* and reported (DispatchHandle::lost_entries).
struct Membership {
  int world_ranks = 0;       ///< 0: the group is the world
  std::vector<int> members;  ///< world ranks, ascending; [num_ranks] of the group

  [[nodiscard]] bool whole() const {
    return world_ranks == 0 || members.size() == static_cast<std::size_t>(world_ranks);
  }
  /// The number in the world of a rank of the group, which is not checked.
  [[nodiscard]] int world_rank(int rank) const {
    return whole() ? rank : members[static_cast<std::size_t>(rank)];
  }
};

struct RegroupOptions {
  /// rank and num_ranks are those of the world. The lowest member listens at host and port, which
  /// every rank must be able to do in its turn: one machine, or an address that moves along.
  /// timeout bounds the whole regrouping and then each gather. No listener_fd.
  TcpBootstrapOptions tcp;
  /// One more at each regrouping, the same on all ranks: members of an earlier one that come late
  /// are kept out.
  std::uint64_t generation = 0;
  /// World ranks known to be lost, looked at again before each attempt: Buffer::lost_ranks of the
  /// buffer that failed. Empty: none, so all ranks of the world must come (a rank joins).
  std::function<std::vector<int>()> lost_ranks;
};

struct Regrouped {
  std::unique_ptr<Bootstrap> bootstrap;  ///< of the members; rank = place in membership.members
  Membership membership;                 ///< for GroupOptions
};

/// Meets the other ranks that are left. Ranks that know of different losses try again until they
/// agree, so the members that come out are the same on all of them.
/// Called by: one thread of every rank that goes on
/// Errors: BootstrapError when the others do not come within tcp.timeout, or when they take this
///         rank for lost (it may join again at a later generation); InvalidArgument as
///         make_tcp_bootstrap
Regrouped regroup(const RegroupOptions& options);

}  // namespace switchyard
