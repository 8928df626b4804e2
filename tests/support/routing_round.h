// What one rank dispatches under one routing, and what must come of it: for tests that launch the
// same operation again and again with new routing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/support/operation_cases.h"

namespace switchyard::test {

/// A few tokens among three ranks; padded places are for as many as there are.
inline bench::Workload small_workload(Layout layout, std::uint64_t seed = 1) {
  bench::Workload workload = float_workload(layout);
  workload.num_ranks = 3;
  workload.num_experts = 6;
  workload.topk = 2;
  workload.tokens = 5;
  workload.max_tokens = layout == Layout::kPadded ? 5 : 0;
  workload.seed = seed;
  return workload;
}

struct RoutingRound {
  RoutingRound(const bench::Workload& workload, int rank)
      : routing(route_all(workload)),
        inputs(workload, rank, (*routing)[static_cast<std::size_t>(rank)]),
        reference(std::make_shared<const bench::Reference>(workload, rank, routing)) {}

  std::shared_ptr<const std::vector<bench::RankRouting>> routing;
  bench::RankInputs inputs;
  std::shared_ptr<const bench::Reference> reference;
};

}  // namespace switchyard::test
