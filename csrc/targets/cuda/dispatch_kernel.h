// Dispatch as a kernel: one warp of the rank exchanges counts, the others move rows, split between
// sending and receiving by what this call brings. Launched by launch_dispatch
// (operation_kernels.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/count_exchange.h"
#include "csrc/protocol/scale_up_receive.h"
#include "csrc/protocol/scale_up_send.h"
#include "csrc/targets/cuda/cuda_warp.h"
#include "csrc/targets/cuda/operation_block.h"
#include "csrc/targets/cuda/run_role.h"
#include "csrc/targets/cuda/warp_split.h"

namespace switchyard::cuda {
using DispatchBlock = BlockMemory<DispatchLaunch>;

/// Waits until this rank knows what will land here, so that warps can be split by it.
class AwaitCounts {
 public:
  static constexpr protocol::RoleKind kKind = protocol::RoleKind::kScaleUpReceive;

  __device__ explicit AwaitCounts(const protocol::OperationArgs* op) : op_(op) {}

  template <protocol::Warp W>
  __device__ protocol::Progress step(W& warp) {
    // Pairs with CountExchange::collect_counts and collect_answers, and with fail_operation.
    const bool known =
        warp.load_acquire(&op_->flags->counted) != 0 || warp.load_acquire(&op_->flags->failed) != 0;
    return known ? protocol::Progress::kDone : protocol::Progress::kBlocked;
  }
  __device__ protocol::WaitPoint wait() const {
    return {protocol::WaitKind::kLocalRole, -1, 0, 1, 0};
  }

 private:
  const protocol::OperationArgs* op_;
};

inline __device__ std::int64_t sum_rows(const std::int32_t* rows, int num_ranks) {
  std::int64_t sum = 0;
  for (int rank = 0; rank < num_ranks; ++rank) {
    sum += rows[rank];
  }
  return sum;
}

/// Rows that the receive roles copy, which is not all that arrive.
inline __device__ bool receivers_copy(const protocol::DispatchArgs& args) {
  return args.output.x != nullptr ||
         (args.problem.row_per_expert() && args.problem.expert_copies == ExpertCopies::kByReceiver);
}

template <class Warp>
__device__ WarpSplit split_by_workload(Warp& warp, const DispatchBlock& block) {
  const protocol::DispatchArgs& args = block.launch.args;
  const int num_ranks = args.op.peers.num_ranks;
  const int movers = warps_of_rank() - 1;
  if (!receivers_copy(args)) {
    return split_warps(movers, 1, 0);
  }
  run_role(warp, AwaitCounts(&args.op), block);
  return split_warps(movers,
                     sum_rows(args.routing.rows_per_rank, num_ranks),
                     sum_rows(args.landing.rows_from, num_ranks));
}

/// Channels idx, idx + count, ... of one task, one after the other.
template <class Role, class Warp>
__device__ void run_channels(Warp& warp, const DispatchBlock& block, int idx, int count) {
  const protocol::DispatchArgs& args = block.launch.args;
  for (int channel = idx; channel < args.op.num_channels; channel += count) {
    run_role(warp, Role(&args, channel), block);
  }
}

template <class Warp>
__device__ void move_dispatch_rows(Warp& warp, const DispatchBlock& block) {
  const WarpSplit split = split_by_workload(warp, block);
  const int mover = warp_of_rank() - 1;
  if (mover < split.senders) {
    run_channels<protocol::ScaleUpSend>(warp, block, mover, split.senders);
  }
  const int receiver = split.shared ? mover : mover - split.senders;
  if (receiver >= 0 && receiver < split.receivers) {
    run_channels<protocol::ScaleUpReceive>(warp, block, receiver, split.receivers);
  }
}

template <class Hints>
__global__ void __launch_bounds__(kThreadsPerBlock, 1)
    dispatch_kernel(const __grid_constant__ DispatchLaunch given) {
  extern __shared__ std::byte shared[];
  auto& block = *reinterpret_cast<DispatchBlock*>(shared);
  cta_begin(block, given);
  const protocol::DispatchArgs& args = block.launch.args;
  const OperationLaunch& launch = block.launch.launch;
  CudaWarp<Hints> warp(&block.warps[warp_of_block()], launch.regions, launch.num_regions);
  if (block.skips) {
    // Nothing is said, and nobody waits: peers skip as well, or leave.
  } else if (warp_of_rank() == 0) {
    describe_operation(args.op, launch.descriptor);
    run_role(warp, protocol::CountExchange(&args), block);
  } else {
    move_dispatch_rows(warp, block);
  }
  warp.complete_rows();
  if (cta_end(block)) {
    end_operation(args.op, launch, block.epoch, *args.landing.num_rows);
  }
}

}  // namespace switchyard::cuda
