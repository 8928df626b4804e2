#include "benchmarks/cli/roof_runner.h"

#include <algorithm>
#include <vector>

#include "csrc/protocol/packet.h"

namespace switchyard::bench {
namespace {

// In the padded layout most places stay empty: the same rows in expert-major order need no memory
// for those.
Workload roof_workload(const CasePlan& plan) {
  Workload workload = plan.workload;
  if (workload.layout == Layout::kPadded) {
    workload.layout = Layout::kExpertMajor;
    workload.expert_alignment = 1;
  }
  return workload;
}

std::int64_t most_rows(const Workload& workload, const CasePlan& plan) {
  return workload.layout == plan.workload.layout ? plan.most_landed_rows : plan.most_expert_rows;
}

}  // namespace

RoofRunner::RoofRunner(Bootstrap& bootstrap,
                       const CasePlan& plan,
                       const RankInputs& inputs,
                       int num_threads)
    : crew_(num_threads) {
  const Workload workload = roof_workload(plan);
  const int rank = bootstrap.rank();
  reference_ = std::make_shared<const Reference>(workload, rank, plan.routing);

  const std::uint64_t row_bytes =
      std::max(workload.landed_row_bytes(), workload.combine_row_bytes());
  const std::uint64_t rows_bytes = protocol::round_up(
      static_cast<std::uint64_t>(most_rows(workload, plan)) * row_bytes, protocol::kBlockAlignment);
  const std::uint64_t out_bytes =
      static_cast<std::uint64_t>(workload.tokens) * workload.combine_row_bytes();
  heap_ = memory::SymmetricHeap::create(
      bootstrap,
      {.heap_bytes = std::max<std::uint64_t>(rows_bytes + out_bytes, 1), .kind = HeapKind::kAuto});

  const protocol::Peers peers = heap_->peers();
  std::vector<std::byte*> landed;
  std::vector<const std::byte*> outputs;
  for (int peer = 0; peer < bootstrap.num_ranks(); ++peer) {
    landed.push_back(peers.at(peer, 0));
    outputs.push_back(peers.at(peer, 0));
  }
  dispatch_.emplace(*reference_, inputs.x(), landed);
  combine_.emplace(*reference_,
                   outputs,
                   TensorView(peers.local(rows_bytes),
                              workload.combine_dtype(),
                              {inputs.routing().num_tokens, workload.hidden}));
}

void RoofRunner::run_dispatch(RoofCopy copy) {
  crew_.run([&](int share, int num_shares) { dispatch_->run(copy, share, num_shares); });
}

void RoofRunner::run_combine(RoofCopy copy) {
  crew_.run([&](int share, int num_shares) { combine_->run(copy, share, num_shares); });
}

}  // namespace switchyard::bench
