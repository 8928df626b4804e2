// The GPU that this compilation pass makes code for, as a value that templates can ask. A wrapper
// that not every supported GPU has takes it as its last template argument and refuses, when it is
// instantiated, what it cannot run on; code that may choose asks kThisTarget in an if constexpr.
#pragma once

namespace switchyard::ptx {

/// A GPU as the compiler names it: sm_90a is {90, true}.
struct Target {
  int sm;
  /// Whether code may use instructions of this GPU or its family alone (the "a" or "f").
  bool own_instructions;

  /// At least this GPU.
  __host__ __device__ constexpr bool has(int minimum_sm) const { return sm >= minimum_sm; }
  /// At least this GPU, with instructions that the next one may drop.
  __host__ __device__ constexpr bool has_own(int minimum_sm) const {
    return own_instructions && has(minimum_sm);
  }
};

#if !defined(__CUDA_ARCH__)
/// The host's pass makes no device code but checks its names and types: it refuses nothing.
inline constexpr Target kThisTarget{1 << 16, true};
#elif defined(__CUDA_ARCH_SPECIFIC__) || defined(__CUDA_ARCH_FAMILY_SPECIFIC__) || \
    defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(__CUDA_ARCH_FEAT_SM100_ALL)
inline constexpr Target kThisTarget{__CUDA_ARCH__ / 10, true};
#else
inline constexpr Target kThisTarget{__CUDA_ARCH__ / 10, false};
#endif

}  // namespace switchyard::ptx
