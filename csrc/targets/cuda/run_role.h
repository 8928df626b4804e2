// The one place where a warp waits: steps a role until it is done, the group has failed, or the
// deadline has passed.
#pragma once

#include <cstdint>

#include "csrc/protocol/operation.h"
#include "csrc/protocol/progress.h"
#include "csrc/targets/cuda/fault_record.h"
#include "csrc/targets/cuda/operation_block.h"
#include "ptx/elect.h"
#include "ptx/special_registers.h"

namespace switchyard::cuda {

/// Blocked steps between two looks at the clock and at the fault record.
/// derived: a blocked step takes some 1 us (one word from memory), a look as long; 16 keep the
/// looks below a tenth of the wait and notice a fault within 20 us.
inline constexpr int kStepsPerLook = 16;

/// Plays a role of the block's operation.
/// Called by: all lanes of a warp
/// Errors:    on a passed deadline, the group's fault record says who waited for whom and where;
///            every role of every rank leaves at its next look
template <class Warp, class Role, class Launch>
__device__ void run_role(Warp& warp, Role role, const BlockMemory<Launch>& block) {
  const protocol::OperationArgs& op = block.launch.args.op;
  const std::uint64_t timeout_ns = block.launch.launch.timeout_ns;
  std::uint64_t waiting_since = 0;
  bool late = false;  // at the last look: the steps since then decide
  for (int blocked = 0;;) {
    const protocol::Progress progress = role.step(warp);
    if (progress == protocol::Progress::kDone) {
      return;
    }
    if (progress == protocol::Progress::kAdvanced) {
      blocked = 0;
      continue;
    }
    if (blocked++ % kStepsPerLook != 0) {
      continue;
    }
    // One lane looks, so that all leave together.
    const std::uint64_t now = __shfl_sync(0xffffffffU, ptx::read_globaltimer(), 0);
    waiting_since = blocked == 1 ? now : waiting_since;
    if (__shfl_sync(0xffffffffU, fault_raised(op) ? 1 : 0, 0) != 0) {
      return;
    }
    // What another role of this rank waits for tells more: it has one timeout before this one.
    const bool for_peer = role.wait().peer >= 0;
    const bool was_late = late;
    late = now - waiting_since > (for_peer ? timeout_ns : 2 * timeout_ns);
    if (late && was_late) {
      if (threadIdx.x % 32 == 0) {
        raise_fault(op,
                    {ErrorCode::kTimeout, op.peers.rank, Role::kKind, role.wait(), block.epoch});
      }
      __syncwarp();
      return;
    }
  }
}

}  // namespace switchyard::cuda
