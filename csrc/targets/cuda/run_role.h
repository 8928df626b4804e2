// The one place where a warp waits: steps a role until it is done, the group has failed, or the
// deadline has passed.
#pragma once

#include <cstdint>

#include "csrc/protocol/operation.h"
#include "csrc/protocol/progress.h"
#include "csrc/targets/cuda/fault_record.h"
#include "ptx/elect.h"
#include "ptx/special_registers.h"

namespace switchyard::cuda {

/// Blocked steps between two looks at the clock and at the fault record.
/// derived: a blocked step takes some 1 us (one word from memory), a look as long; 16 keep the
/// looks below a tenth of the wait and notice a fault within 20 us.
inline constexpr int kStepsPerLook = 16;

/// Called by: all lanes of a warp
/// Errors:    on a passed deadline, the group's fault record says who waited for whom and where;
/// every
///            role of every rank leaves at its next look
template <class Warp, class Role>
__device__ void run_role(Warp& warp,
                         Role role,
                         const protocol::OperationArgs& op,
                         std::uint64_t timeout_ns) {
  std::uint64_t waiting_since = 0;
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
    if (now - waiting_since > timeout_ns) {
      if (threadIdx.x % 32 == 0) {
        raise_timeout(op, Role::kKind, role.wait());
      }
      __syncwarp();
      return;
    }
  }
}

}  // namespace switchyard::cuda
