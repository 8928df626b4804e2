// Whether transfers are kept out of the caches. A policy of the whole kernel: the same code is
// built with and without, so that a benchmark can show what the hints do for the kernels beside it.
#pragma once

#include "ptx/cache_policy.h"

namespace switchyard::cuda {

/// A row passes through each cache once: L1 does not keep it, and in L2 it is the first to go.
struct WithHints {
  using Policy = ptx::CachePolicy;
  static constexpr ptx::L1Hint kL1 = ptx::L1Hint::kNoAllocate;

  static __device__ __forceinline__ Policy make() { return ptx::create_policy_evict_first(); }
};

/// Rows displace whatever the caches hold. For comparison only.
struct WithoutHints {
  using Policy = ptx::NoCachePolicy;
  static constexpr ptx::L1Hint kL1 = ptx::L1Hint::kNone;

  static __device__ __forceinline__ Policy make() { return {}; }
};

}  // namespace switchyard::cuda
