// Who takes part: the ranks of an expert-parallel group and how they are spread over nodes.
#pragma once

#include <cstddef>
#include <memory>

#include "switchyard/bootstrap.h"
#include "switchyard/membership.h"

namespace switchyard {

/// Ranks in node order: node n holds ranks [n * ranks_per_node, (n + 1) * ranks_per_node). The
/// ranks with one index in their nodes form a rail.
struct Topology {
  int num_ranks = 1;
  int ranks_per_node = 1;

  [[nodiscard]] constexpr int num_nodes() const { return num_ranks / ranks_per_node; }
  [[nodiscard]] constexpr int node_of(int rank) const { return rank / ranks_per_node; }
  [[nodiscard]] constexpr int rail_of(int rank) const { return rank % ranks_per_node; }
};

struct GroupOptions {
  int ranks_per_node = 0;  ///< ranks that load and store each other's memory; 0: all of them
  /// Which ranks of a larger world these are, from regroup(); by default the group is the world.
  Membership membership{};
};

/// One rank's membership in a group. Move-only. Buffers are made from it, and need it no longer.
class Group {
 public:
  /// Called by:  one thread of every rank (collective)
  /// Errors:     InvalidArgument for an empty bootstrap, and on every rank, naming the one at
  /// fault,
  ///             for ranks_per_node that does not divide the ranks, or members that are not
  ///             ascending ranks of the world, one for each rank; ConfigMismatch naming the rank
  ///             whose options differ; BootstrapError
  explicit Group(std::unique_ptr<Bootstrap> bootstrap, const GroupOptions& options = {});

  Group(Group&&) noexcept = default;
  Group& operator=(Group&&) noexcept = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group() = default;

  [[nodiscard]] int rank() const { return bootstrap_->rank(); }
  [[nodiscard]] int num_ranks() const { return topology_.num_ranks; }
  [[nodiscard]] const Topology& topology() const { return topology_; }
  [[nodiscard]] const Membership& membership() const { return membership_; }
  /// The number that a rank of this group has in the world.
  /// Errors:     InvalidArgument for a rank that the group has not
  [[nodiscard]] int world_rank(int rank) const;
  [[nodiscard]] Bootstrap& bootstrap() const { return *bootstrap_; }

 private:
  std::unique_ptr<Bootstrap> bootstrap_;
  Topology topology_;
  Membership membership_;
};

}  // namespace switchyard
