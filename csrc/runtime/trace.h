// From the records of a rank's workers to the public events.
#pragma once

#include <cstdint>
#include <vector>

#include "csrc/targets/host/workers.h"
#include "switchyard/trace.h"

namespace switchyard::runtime {

/// `newest_operation`: the last one issued; records hold the lower halves of operations' numbers.
Trace make_trace(int rank,
                 std::uint64_t newest_operation,
                 const std::vector<host::SlotTrace>& slots);

}  // namespace switchyard::runtime
