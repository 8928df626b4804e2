// One workload as the members of a group see it that has lost ranks of its world: the caller goes
// on with the world's expert numbers, the reference is that of a smaller world in which lost
// experts were never named.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "benchmarks/common/reference.h"
#include "benchmarks/common/token_data.h"
#include "benchmarks/common/workload.h"
#include "switchyard/switchyard.h"

namespace switchyard::test {

/// One member's part.
class MaskedCase {
 public:
  /// `rank` counts among `membership.members`.
  MaskedCase(const bench::Workload& world, const Membership& membership, int rank)
      : world_(world), rank_(rank), among_members_(world) {
    const auto num_members = static_cast<int>(membership.members.size());
    const int experts_per_rank = world.num_experts / world.num_ranks;
    among_members_.num_ranks = num_members;
    among_members_.num_experts = num_members * experts_per_rank;
    auto all = std::make_shared<std::vector<bench::RankRouting>>();
    for (const int member : membership.members) {
      bench::RankRouting routing = bench::make_routing(world, member);
      if (static_cast<int>(all->size()) == rank) {
        named_ = routing.topk_idx;
      }
      for (std::int64_t& expert : routing.topk_idx) {
        expert = renumber(expert, membership, experts_per_rank);
      }
      all->push_back(std::move(routing));
    }
    renumbered_ = (*all)[static_cast<std::size_t>(rank)].topk_idx;
    inputs_ = std::make_unique<bench::RankInputs>(
        among_members_, rank, (*all)[static_cast<std::size_t>(rank)]);
    reference_ = std::make_shared<const bench::Reference>(among_members_, rank, std::move(all));
  }

  /// The caller's own request, in the world's numbers.
  [[nodiscard]] DispatchRequest request() const {
    DispatchRequest request = inputs_->request();
    request.topk_idx.data = named_.data();
    request.num_experts = world_.num_experts;
    return request;
  }
  /// [tokens][topk] 1 where the entry's expert is lost.
  [[nodiscard]] std::vector<std::uint8_t> lost_entries() const {
    std::vector<std::uint8_t> lost(named_.size());
    for (std::size_t i = 0; i < named_.size(); ++i) {
      lost[i] = named_[i] >= 0 && renumbered_[i] < 0 ? 1 : 0;
    }
    return lost;
  }
  [[nodiscard]] const bench::RankInputs& inputs() const { return *inputs_; }
  [[nodiscard]] const std::shared_ptr<const bench::Reference>& reference() const {
    return reference_;
  }

 private:
  static std::int64_t renumber(std::int64_t expert,
                               const Membership& membership,
                               int experts_per_rank) {
    if (expert < 0) {
      return -1;
    }
    const auto& members = membership.members;
    const auto owner = static_cast<int>(expert / experts_per_rank);
    const auto place = std::find(members.begin(), members.end(), owner);
    return place == members.end()
               ? -1
               : (place - members.begin()) * experts_per_rank + expert % experts_per_rank;
  }

  bench::Workload world_;
  int rank_;
  bench::Workload among_members_;
  std::vector<std::int64_t> named_;
  std::vector<std::int64_t> renumbered_;
  std::unique_ptr<bench::RankInputs> inputs_;
  std::shared_ptr<const bench::Reference> reference_;
};

}  // namespace switchyard::test
