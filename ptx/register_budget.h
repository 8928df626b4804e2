// Moving registers between the warps of a block: warps that copy give theirs to warps that compute.
// Both take effect only in kernels whose register count the compiler knows at entry (launch
// bounds).
#pragma once

#include "ptx/target.h"

namespace switchyard::ptx {

/// Whether setmaxnreg takes the number.
__host__ __device__ constexpr bool is_register_budget(int registers) {
  return registers >= 24 && registers <= 256 && registers % 8 == 0;
}

/// Waits until the block's pool holds enough registers, then this thread may use `kRegisters`. All
/// warps of the warpgroup must call it.
/// PTX:    setmaxnreg.inc.sync.aligned.u32 registers;
/// Needs:  PTX ISA 8.0, sm_90a+
/// Source: PTX ISA manual, "setmaxnreg"
template <int kRegisters, Target kTarget = kThisTarget>
__device__ __forceinline__ void warpgroup_take_registers() {
  static_assert(kTarget.has_own(90), "warpgroup_take_registers needs sm_90a");
  static_assert(is_register_budget(kRegisters), "24 to 256 registers, a multiple of 8");
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" : : "n"(kRegisters));
}

/// Gives registers above `kRegisters` to the block's pool; their content is lost. All warps of the
/// warpgroup must call it.
/// PTX:    setmaxnreg.dec.sync.aligned.u32 registers;
/// Needs:  PTX ISA 8.0, sm_90a+
/// Source: PTX ISA manual, "setmaxnreg"
template <int kRegisters, Target kTarget = kThisTarget>
__device__ __forceinline__ void warpgroup_give_registers() {
  static_assert(kTarget.has_own(90), "warpgroup_give_registers needs sm_90a");
  static_assert(is_register_budget(kRegisters), "24 to 256 registers, a multiple of 8");
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" : : "n"(kRegisters));
}

}  // namespace switchyard::ptx
