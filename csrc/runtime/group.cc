#include "switchyard/group.h"

#include <fmt/format.h>

#include "csrc/bootstrap/gather.h"
#include "csrc/runtime/validate.h"
#include "switchyard/error.h"

namespace switchyard {

Group::Group(std::unique_ptr<Bootstrap> bootstrap, const GroupOptions& options)
    : bootstrap_(std::move(bootstrap)) {
  if (bootstrap_ == nullptr) {
    runtime::refuse("bootstrap", "null", "a bootstrap of this rank");
  }
  topology_.num_ranks = bootstrap_->num_ranks();
  topology_.ranks_per_node =
      options.ranks_per_node == 0 ? topology_.num_ranks : options.ranks_per_node;
  if (topology_.ranks_per_node < 1 || topology_.num_ranks % topology_.ranks_per_node != 0) {
    runtime::refuse("ranks_per_node",
                    fmt::format("{}", options.ranks_per_node),
                    fmt::format("a divisor of the {} ranks, or 0 for all", topology_.num_ranks));
  }
  const auto all = bootstrap::gather_values(*bootstrap_, topology_.ranks_per_node);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
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

}  // namespace switchyard
