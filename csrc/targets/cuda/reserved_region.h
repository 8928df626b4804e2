// Memory of the heap that the host sets aside for one operation, for roles that reserve some: a GPU
// has no allocator, and callers must know where results will lie before the kernel runs.
#pragma once

#include <cstdint>

#include "csrc/protocol/warp.h"

namespace switchyard::cuda {

struct ReservedRegion {
  std::uint64_t offset = protocol::kNoRegion;
  std::uint64_t bytes = 0;
};

}  // namespace switchyard::cuda
