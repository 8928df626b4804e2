// Runs a check once for every instruction set that was compiled in and that this CPU has, so that
// slow paths are tested on fast machines.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "csrc/targets/host/row_ops.h"
#include "hwy/highway.h"

namespace switchyard::test {

/// Calls `check()` under each instruction set; leaves the best one chosen.
template <class Check>
void for_each_simd_target(const Check& check) {
  int num_checked = 0;
  for (const auto target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    if (std::strcmp(host::row_ops_isa(), hwy::TargetName(target)) == 0) {
      SCOPED_TRACE(hwy::TargetName(target));
      check();
      ++num_checked;
    }
  }
  hwy::SetSupportedTargetsForTest(0);
  EXPECT_GT(num_checked, 0) << "the SIMD library refused every instruction set that it lists";
}

}  // namespace switchyard::test
