#include "switchyard/group.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "csrc/bootstrap/gather.h"
#include "csrc/bootstrap/together.h"
#include "csrc/runtime/descriptor.h"
#include "csrc/runtime/validate.h"
#include "switchyard/error.h"

namespace switchyard {
namespace {

void check_nodes(const Topology& topology) {
  if (topology.ranks_per_node < 1 || topology.num_ranks % topology.ranks_per_node != 0) {
    runtime::refuse("ranks_per_node",
                    fmt::format("{}", topology.ranks_per_node),
                    fmt::format("a divisor of the {} ranks, or 0 for all", topology.num_ranks));
  }
}

void check_members(const Membership& membership, int num_ranks) {
  if (membership.world_ranks == 0 && membership.members.empty()) {
    return;
  }
  const std::vector<int>& members = membership.members;
  const bool ascending =
      std::adjacent_find(members.begin(), members.end(), std::greater_equal<>()) == members.end();
  const bool inside =
      !members.empty() && members.front() >= 0 && members.back() < membership.world_ranks;
  if (members.size() != static_cast<std::size_t>(num_ranks) || !ascending || !inside) {
    runtime::refuse(
        "membership",
        fmt::format("{} members of a world of {} ranks: {}",
                    members.size(),
                    membership.world_ranks,
                    fmt::join(members, " ")),
        fmt::format("{} ascending ranks of the world, one for each rank of the group", num_ranks));
  }
}

/// Membership as one number that every rank must have the same.
std::uint64_t membership_digest(const Membership& membership) {
  std::vector<std::uint32_t> words{static_cast<std::uint32_t>(membership.world_ranks)};
  for (const int member : membership.members) {
    words.push_back(static_cast<std::uint32_t>(member));
  }
  return runtime::hash_words(words.data(), words.size());
}

}  // namespace

Group::Group(std::unique_ptr<Bootstrap> bootstrap, const GroupOptions& options)
    : bootstrap_(std::move(bootstrap)) {
  if (bootstrap_ == nullptr) {
    runtime::refuse("bootstrap", "null", "a bootstrap of this rank");
  }
  topology_.num_ranks = bootstrap_->num_ranks();
  topology_.ranks_per_node =
      options.ranks_per_node == 0 ? topology_.num_ranks : options.ranks_per_node;
  membership_ = options.membership;
  bootstrap::run_together(*bootstrap_, [&] {
    check_nodes(topology_);
    check_members(membership_, topology_.num_ranks);
  });
  const std::uint64_t digest = membership_digest(membership_);
  const auto digests = bootstrap::gather_values(*bootstrap_, digest);
  const auto all = bootstrap::gather_values(*bootstrap_, topology_.ranks_per_node);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (digests[rank] != digest) {
      throw ConfigMismatch(
          static_cast<int>(rank),
          fmt::format(
              "membership: rank {} has other members than this rank ({}): {}; take both from "
              "one regroup()",
              rank,
              bootstrap_->rank(),
              fmt::join(membership_.members, " ")));
    }
    if (all[rank] != topology_.ranks_per_node) {
      throw ConfigMismatch(static_cast<int>(rank),
                           fmt::format("ranks_per_node: rank {} has {}, this rank ({}) has {}",
                                       rank,
                                       all[rank],
                                       bootstrap_->rank(),
                                       topology_.ranks_per_node));
    }
  }
}

int Group::world_rank(int rank) const {
  if (rank < 0 || rank >= num_ranks()) {
    runtime::refuse("world_rank",
                    fmt::format("{}", rank),
                    fmt::format("a rank of the group, 0 to {}", num_ranks() - 1));
  }
  return membership_.world_rank(rank);
}

}  // namespace switchyard
