// One workload as the members of a group see it that has lost ranks of its world: the caller goes
// on with the world's expert numbers, the reference is that of a smaller world in which lost
// experts were never named.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "benchmarks/common/reference.h"
#include "benchmarks/common/token_data.h"
#include "benchmarks/common/verifier.h"
#include "benchmarks/common/workload.h"
#include "switchyard/switchyard.h"

namespace switchyard::test {

/// A small world with 4 experts on each rank.
inline bench::Workload small_world(int num_ranks, Layout layout) {
  bench::Workload result;
  result.num_ranks = num_ranks;
  result.tokens = 45;
  result.hidden = 512;
  result.topk = 6;
  result.num_experts = 4 * num_ranks;
  result.layout = layout;
  result.max_tokens = layout == Layout::kPadded ? 48 : 0;
  return result;
}

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

/// A verified dispatch and combine of one member.
inline void exchange(Buffer& buffer, const MaskedCase& masked) {
  DispatchResult landed = buffer.dispatch(masked.request());
  const bench::Verifier verifier(masked.reference());
  const bench::VerifyReport rows = verifier.check_dispatch(landed);
  EXPECT_TRUE(rows.ok()) << rows.first;
  const auto lost = landed.handle().lost_entries();
  const std::vector<std::uint8_t> wanted = masked.lost_entries();
  const bool loses = std::ranges::count(wanted, 1) != 0;
  EXPECT_TRUE(lost.empty() ? !loses : std::ranges::equal(lost, wanted));
  bench::fill_expert_rows(*masked.reference(), landed.x());
  CombineRequest request{.x = landed.x(), .handle = landed.handle()};
  if (masked.reference()->workload().weighted_combine()) {
    request.topk_weights = masked.inputs().topk_weights();
  }
  const bench::VerifyReport sums = verifier.check_combine(buffer.combine(request));
  EXPECT_TRUE(sums.ok()) << sums.first;
}

}  // namespace switchyard::test
