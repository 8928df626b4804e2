// What loads, stores and bulk copies can be told about caches. Hints are arguments, never part of a
// wrapper's name, so that one build switch can turn all of them off: L1 by template argument, L2 by
// a policy that a thread creates once and passes on. A hint changes speed, never a result.
#pragma once

#include <concepts>
#include <cstdint>

namespace switchyard::ptx {

/// What L1 does with the line of a load or a store.
enum class L1Hint {
  kNone,
  /// The line does not displace others: for data that this SM touches once.
  kNoAllocate,
};

/// What L2 does with the lines of an access: an operand that createpolicy makes, opaque.
struct CachePolicy {
  std::uint64_t bits;
};

/// Takes the place of a CachePolicy where there is no hint; the instruction then has no operand.
struct NoCachePolicy {};

template <class P>
concept L2Policy = std::same_as<P, CachePolicy> || std::same_as<P, NoCachePolicy>;

/// Whether an instruction with this policy carries .L2::cache_hint.
template <L2Policy Policy>
inline constexpr bool kHasPolicy = std::same_as<Policy, CachePolicy>;

// createpolicy reads nothing but its operand, so none of these is volatile and the compiler may
// make one policy of many. `fraction` (0 to 1] of the accesses get the named priority, chosen by
// address; the others are evict_unchanged.

/// Lines that go first when L2 needs room: data that is read or written once.
/// PTX:    createpolicy.fractional.L2::evict_first.b64 policy, fraction;
/// Needs:  PTX ISA 7.4, sm_80+
/// Source: PTX ISA manual, "createpolicy"
__device__ __forceinline__ CachePolicy create_policy_evict_first(float fraction = 1.0F) {
  CachePolicy policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, %1;" : "=l"(policy.bits) : "f"(fraction));
  return policy;
}

/// Lines that stay longest: data that will be read again soon, and fits.
/// PTX:    createpolicy.fractional.L2::evict_last.b64 policy, fraction;
/// Needs:  PTX ISA 7.4, sm_80+
/// Source: PTX ISA manual, "createpolicy"
__device__ __forceinline__ CachePolicy create_policy_evict_last(float fraction = 1.0F) {
  CachePolicy policy;
  asm("createpolicy.fractional.L2::evict_last.b64 %0, %1;" : "=l"(policy.bits) : "f"(fraction));
  return policy;
}

/// Lines like any other: an access with this policy gives evict_last lines back.
/// PTX:    createpolicy.fractional.L2::evict_normal.b64 policy, fraction;
/// Needs:  PTX ISA 7.4, sm_80+
/// Source: PTX ISA manual, "createpolicy"
__device__ __forceinline__ CachePolicy create_policy_evict_normal(float fraction = 1.0F) {
  CachePolicy policy;
  asm("createpolicy.fractional.L2::evict_normal.b64 %0, %1;" : "=l"(policy.bits) : "f"(fraction));
  return policy;
}

/// The access leaves the priority of its lines as it finds it.
/// PTX:    createpolicy.fractional.L2::evict_unchanged.b64 policy, fraction;
/// Needs:  PTX ISA 7.4, sm_80+
/// Source: PTX ISA manual, "createpolicy"
__device__ __forceinline__ CachePolicy create_policy_evict_unchanged(float fraction = 1.0F) {
  CachePolicy policy;
  asm("createpolicy.fractional.L2::evict_unchanged.b64 %0, %1;"
      : "=l"(policy.bits)
      : "f"(fraction));
  return policy;
}

}  // namespace switchyard::ptx
