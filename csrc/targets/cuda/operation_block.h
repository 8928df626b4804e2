// What every block of an operation's kernel does before its warps play their roles, and after.
#pragma once

#include <cstdint>

#include "csrc/targets/cuda/fault_record.h"
#include "csrc/targets/cuda/launch_args.h"
#include "csrc/targets/cuda/warp_memory.h"
#include "ptx/atomic.h"
#include "ptx/memory_order.h"

namespace switchyard::cuda {

/// A block's shared memory: the operation's arguments as of this launch, and the warps' stages.
template <class Launch>
struct BlockMemory {
  WarpMemory warps[kWarpsPerBlock];
  Launch launch;
  std::uint64_t epoch;  ///< number of this operation
  bool skips;           ///< no role is played
};

/// Whether there is nothing to play: the dispatch that made the tables failed, which every rank
/// knows of its own, or the group has.
inline __device__ bool must_skip(const OperationLaunch& launch, const protocol::OperationArgs& op) {
  return (!launch.makes_tables && *launch.guard != 0) || fault_raised(op);
}

inline __device__ int warp_of_block() {
  return static_cast<int>(threadIdx.x) / kLanes;
}
/// This warp among those of the rank.
inline __device__ int warp_of_rank() {
  return static_cast<int>(blockIdx.x) * kWarpsPerBlock + warp_of_block();
}
inline __device__ int warps_of_rank() {
  return static_cast<int>(gridDim.x) * kWarpsPerBlock;
}

/// Copies the arguments where every warp reaches them fast, and gives them this operation's number.
/// Called by: all threads of the block
template <class Launch>
__device__ void cta_begin(BlockMemory<Launch>& block, const Launch& given) {
  constexpr std::uint32_t kWords = sizeof(Launch) / sizeof(std::uint32_t);
  static_assert(sizeof(Launch) % sizeof(std::uint32_t) == 0);
  const auto* from = reinterpret_cast<const std::uint32_t*>(&given);
  auto* to = reinterpret_cast<std::uint32_t*>(&block.launch);
  for (std::uint32_t i = threadIdx.x; i < kWords; i += kThreadsPerBlock) {
    to[i] = from[i];
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    // The operation before has ended: its last block counted it, and this kernel follows it.
    block.epoch = block.launch.launch.sequence->epoch + 1;
    auto& op = block.launch.args.op;
    op.epoch = protocol::epoch_tag(block.epoch, op.control.num_slots);
    block.skips = must_skip(block.launch.launch, op);
  }
  __syncthreads();
}

/// Publishes what this rank is about to do, for peers that disagree.
/// Called by: all lanes of one warp of the rank, before its first hello, which releases it
inline __device__ void describe_operation(const protocol::OperationArgs& op,
                                          const protocol::OperationDescriptor& descriptor) {
  auto* to = reinterpret_cast<protocol::OperationDescriptor*>(
      op.peers.local(op.control.descriptor(op.slot())));
  *to = descriptor;
  to->epoch = op.epoch;  // the tag: what readers compare
}

/// Counts the block as done. True in the one thread that is the last of the rank's: it alone may
/// touch the sequence then.
/// Called by: all threads of the block
template <class Launch>
__device__ bool cta_end(BlockMemory<Launch>& block) {
  __syncthreads();
  if (threadIdx.x != 0) {
    return false;
  }
  Sequence* sequence = block.launch.launch.sequence;
  return ptx::atom_add_acq_rel_gpu(&sequence->blocks_done, 1U) + 1 == gridDim.x;
}

/// What only this rank knows of, while peers may still write where it told them: the group ends.
inline __device__ void raise_corruption(const protocol::OperationArgs& op,
                                        const Sequence& sequence,
                                        std::uint64_t epoch) {
  if (targets::is_corrupt(sequence.flags, sequence.failure)) {
    raise_fault(op,
                targets::corruption_fault(sequence.flags, sequence.failure, op.peers.rank, epoch));
  }
}

/// Into the host's memory. Of operations that are launched many times, what went wrong first stays:
/// the host looks when it likes.
inline __device__ void tell_outcome(const OperationLaunch& launch,
                                    const Outcome& told,
                                    std::uint64_t epoch) {
  Outcome& outcome = *launch.outcome;
  if (launch.keeps_first && (told.noted == 0 || outcome.noted != 0)) {
    return;  // reads the host's memory, over the bus, where something went wrong alone
  }
  outcome.faulted = told.faulted;
  outcome.failed = told.failed;
  outcome.corrupt = told.corrupt;
  outcome.failure = told.failure;
  outcome.bad_entry = told.bad_entry;
  outcome.num_rows = told.num_rows;
  outcome.skipped = told.skipped;
  outcome.epoch = epoch;
  ptx::st_release_sys(&outcome.noted, told.noted);
}

/// Tells the host what became of the operation and makes room for the next.
/// Called by: one thread, when every block is done
inline __device__ void end_operation(const protocol::OperationArgs& op,
                                     const OperationLaunch& launch,
                                     std::uint64_t epoch,
                                     std::int64_t num_rows) {
  Sequence& sequence = *launch.sequence;
  raise_corruption(op, sequence, epoch);
  // Here, not per block: a group may fail while some blocks play and others do not.
  const bool left_out = !launch.makes_tables && *launch.guard != 0;
  Outcome told;
  told.faulted = fault_raised(op) ? 1 : 0;
  told.failed = static_cast<std::uint32_t>(sequence.flags.failed);
  told.corrupt = static_cast<std::uint32_t>(sequence.flags.corrupt);
  told.failure = sequence.failure;
  told.bad_entry = sequence.bad_entry;
  told.num_rows = num_rows;
  told.skipped = left_out ? 1 : 0;
  const bool failed = (told.faulted | told.failed | told.corrupt) != 0;
  told.noted = failed || left_out || told.bad_entry.token >= 0 ? 1 : 0;
  tell_outcome(launch, told, epoch);
  // A dispatch along a handle that fails leaves the tables of the one that counted as they were.
  if (launch.makes_tables) {
    *launch.guard = failed ? 1 : 0;
  }
  sequence.flags = protocol::LocalFlags{};
  sequence.failure = protocol::Failure{};
  sequence.bad_entry.token = -1;
  sequence.blocks_done = 0;
  // One that was left out said nothing to any peer, on no rank: numbers go on as if it were not, so
  // that a slot's last messages have been read by all when it comes round.
  sequence.epoch = left_out ? epoch - 1 : epoch;
}

}  // namespace switchyard::cuda
