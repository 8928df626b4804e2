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

/// Looks that a lane has at rank 0's record while another one writes it: a few stores.
inline constexpr int kLooksAtWriter = 1'000'000;

/// What a record holds, once whoever is writing it is done; `other`, where it died half way.
/// Ordering: acquires the fields behind the state; pairs with raise_fault
inline __device__ targets::Fault read_fault(const protocol::ErrorRecord& record,
                                            const targets::Fault& other) {
  for (int look = 0; look < kLooksAtWriter; ++look) {
    if (ptx::ld_acquire_sys(&record.state) == kFaultReadable) {
      return targets::read_record(record);
    }
  }
  return other;
}

/// Makes the fault the group's, unless it has one already: rank 0's record decides, so that all
/// ranks tell of the same. Copies the group's fault to every record that is still empty.
/// Called by:  one lane
/// Ordering:   the record is released behind its fields; pairs with the host's look after the
/// kernel
inline __device__ void raise_fault(const protocol::OperationArgs& op, const targets::Fault& fault) {
  targets::Fault of_group = fault;
  for (int rank = 0; rank < op.peers.num_ranks; ++rank) {
    protocol::ErrorRecord* record = fault_record(op, rank);
    if (ptx::atom_cas_acq_rel_sys(&record->state, kFaultNone, kFaultWriting) == kFaultNone) {
      targets::write_record(*record, of_group);
      ptx::st_release_sys(&record->state, kFaultReadable);
    } else if (rank == 0) {
      of_group = read_fault(*record, fault);
    }
  }
}

}  // namespace switchyard::cuda
