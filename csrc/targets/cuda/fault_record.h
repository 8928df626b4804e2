// The group's fault as a GPU raises and sees it: the record of control_block.h in every rank's
// heap, written by whoever is first, looked at by every waiting role.
#pragma once

#include <cstdint>

#include "csrc/protocol/operation.h"
#include "csrc/targets/fault.h"
#include "ptx/atomic.h"
#include "ptx/memory_order.h"

namespace switchyard::cuda {

using targets::kFaultNone;
using targets::kFaultReadable;
using targets::kFaultWriting;

inline __device__ protocol::ErrorRecord* fault_record(const protocol::OperationArgs& op, int rank) {
  return reinterpret_cast<protocol::ErrorRecord*>(op.peers.at(rank, op.control.error_record()));
}

inline __device__ bool fault_raised(const protocol::OperationArgs& op) {
  return ptx::ld_relaxed_sys(&fault_record(op, op.peers.rank)->state) != kFaultNone;
}

/// Makes the fault the group's, on every rank that has none yet.
/// Called by:  one lane
/// Ordering:   the record is released behind its fields; pairs with the host's look after the
/// kernel
inline __device__ void raise_fault(const protocol::OperationArgs& op, const targets::Fault& fault) {
  for (int rank = 0; rank < op.peers.num_ranks; ++rank) {
    protocol::ErrorRecord* record = fault_record(op, rank);
    if (ptx::atom_cas_acq_rel_sys(&record->state, kFaultNone, kFaultWriting) != kFaultNone) {
      continue;
    }
    targets::write_record(*record, fault);
    ptx::st_release_sys(&record->state, kFaultReadable);
  }
}

}  // namespace switchyard::cuda
