// What the operations of one rank hand on to each other on the GPU: the number of the last one, the
// flags of the current one, and what became of it. Operations of a buffer run one after the other
// on its stream, so one of each is enough, and a captured graph can be replayed: nothing here is an
// argument of a kernel.
#pragma once

#include <cstdint>

#include "csrc/protocol/operation.h"

namespace switchyard::cuda {

/// A top-k entry that names no expert there is.
struct BadEntry {
  std::int32_t token = -1;  ///< -1: none
  std::int32_t position = 0;
  std::int64_t expert = 0;
};

/// For the host, when the kernel has ended; in memory that both can reach.
struct Outcome {
  std::uint64_t epoch = 0;  ///< number of the operation, written last
  std::uint32_t failed = 0;
  std::uint32_t faulted = 0;  ///< the group failed: its fault record says how
  std::uint32_t corrupt = 0;  ///< 1 + the source whose metadata cannot be
  protocol::Failure failure;
  BadEntry bad_entry;
  std::int64_t num_rows = 0;  ///< of a dispatch
  std::uint32_t skipped = 0;  ///< its dispatch had failed, or the group had: nothing was done
  /// Something of the above went wrong. With OperationLaunch::keeps_first, it stays until the host
  /// clears it, and so does what it is about.
  std::uint32_t noted = 0;
};

/// In device memory, one per rank; begins as zeroes but for bad_entry.
struct alignas(256) Sequence {
  protocol::LocalFlags flags;  // first: words are read by blocks of 256 bytes
  protocol::Failure failure;
  std::uint64_t epoch = 0;        ///< number of the last operation that ended
  std::uint32_t blocks_done = 0;  ///< of the current one
  BadEntry bad_entry;             ///< of the current one; written by the route kernel
};

}  // namespace switchyard::cuda
