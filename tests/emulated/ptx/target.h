// In place of ptx/target.h: the GPU that this build of the tests stands for.
#pragma once

namespace switchyard::ptx {

struct Target {
  int sm;
  bool own_instructions;

  constexpr bool has(int minimum_sm) const { return sm >= minimum_sm; }
  constexpr bool has_own(int minimum_sm) const { return own_instructions && has(minimum_sm); }
};

inline constexpr Target kThisTarget{SY_EMULATED_SM, SY_EMULATED_SM >= 90};

}  // namespace switchyard::ptx
