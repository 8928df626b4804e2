// One lane of a warp, chosen by the hardware: cheaper than comparing the lane's number, and the
// compiler knows that one lane at most goes on. Votes and shuffles are CUDA's own intrinsics.
#pragma once

#include <cstdint>

#include "ptx/target.h"

namespace switchyard::ptx {

/// True in exactly one of the lanes in `lanes`, the same one each time; all of them must call.
/// volatile: it meets other lanes, so it may not move into a branch.
/// PTX:    elect.sync _|elected, lanes;
/// Needs:  PTX ISA 8.0, sm_90+
/// Source: PTX ISA manual, "elect.sync"
template <Target kTarget = kThisTarget>
__device__ __forceinline__ bool warp_elect(std::uint32_t lanes = 0xFFFFFFFFU) {
  static_assert(kTarget.has(90), "warp_elect needs sm_90");
  std::uint32_t elected;
  asm volatile(
      "{\n"
      ".reg .pred elected;\n"
      "elect.sync _|elected, %1;\n"
      "selp.b32 %0, 1, 0, elected;\n"
      "}"
      : "=r"(elected)
      : "r"(lanes));
  return elected != 0;
}

}  // namespace switchyard::ptx
