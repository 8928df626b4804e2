// One kernel for each function of ptx/register_budget.h and form of it; what they emit is the test.
#include "ptx/register_budget.h"

namespace ptx = switchyard::ptx;

// The launch bounds tell the assembler the register count at entry; without them it drops the
// instruction.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || __CUDA_ARCH__ >= 1000 || defined(SY_PROBE_ALL)

extern "C" __global__ void __launch_bounds__(256, 1) probe_warpgroup_take_registers() {
  ptx::warpgroup_take_registers<232>();
}

extern "C" __global__ void __launch_bounds__(256, 1) probe_warpgroup_give_registers() {
  ptx::warpgroup_give_registers<40>();
}

#endif
