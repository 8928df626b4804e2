// Combine as a kernel: one warp of the rank announces and collects, the others bring rows in and
// sum. Launched by launch_combine (operation_kernels.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/combine_accumulate.h"
#include "csrc/protocol/combine_announce.h"
#include "csrc/protocol/combine_copy_in.h"
#include "csrc/targets/cuda/cuda_warp.h"
#include "csrc/targets/cuda/operation_block.h"
#include "csrc/targets/cuda/run_role.h"

namespace switchyard::cuda {
using CombineBlock = BlockMemory<CombineLaunch>;

/// Every mover copies its share of rows in, if any lie outside the heap, and then sums its tokens:
/// rows of the two tasks differ, but each is split over all movers, so that none idles.
template <class Warp>
__device__ void move_combine_rows(Warp& warp, const CombineBlock& block) {
  const protocol::CombineArgs& args = block.launch.args;
  const int mover = warp_of_rank() - 1;
  const int movers = warps_of_rank() - 1;
  for (int channel = mover; args.copies_in() && channel < args.op.num_channels; channel += movers) {
    run_role(warp, protocol::CombineCopyIn(&args, channel), block);
  }
  for (int channel = mover; channel < args.op.num_channels; channel += movers) {
    run_role(warp, protocol::CombineAccumulate(&args, channel), block);
  }
}

template <class Hints>
__global__ void __launch_bounds__(kThreadsPerBlock, 1)
    combine_kernel(const __grid_constant__ CombineLaunch given) {
  extern __shared__ std::byte shared[];
  auto& block = *reinterpret_cast<CombineBlock*>(shared);
  cta_begin(block, given);
  const protocol::CombineArgs& args = block.launch.args;
  const OperationLaunch& launch = block.launch.launch;
  CudaWarp<Hints> warp(&block.warps[warp_of_block()], launch.regions, launch.num_regions);
  if (block.skips) {
    // Nothing is said, and nobody waits: peers skip as well, or leave.
  } else if (warp_of_rank() == 0) {
    describe_operation(args.op, launch.descriptor);
    run_role(warp, protocol::CombineAnnounce(&args), block);
  } else {
    move_combine_rows(warp, block);
  }
  warp.complete_rows();
  if (cta_end(block)) {
    end_operation(args.op, launch, block.epoch, 0);
  }
}

}  // namespace switchyard::cuda
