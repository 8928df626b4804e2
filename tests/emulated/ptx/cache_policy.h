// In place of ptx/cache_policy.h: hints that change nothing.
#pragma once

#include <concepts>
#include <cstdint>

namespace switchyard::ptx {

enum class L1Hint {
  kNone,
  kNoAllocate,
};

struct CachePolicy {
  std::uint64_t bits;
};
struct NoCachePolicy {};

template <class P>
concept L2Policy = std::same_as<P, CachePolicy> || std::same_as<P, NoCachePolicy>;

template <L2Policy Policy>
inline constexpr bool kHasPolicy = std::same_as<Policy, CachePolicy>;

inline CachePolicy create_policy_evict_first(float = 1.0F) {
  return {1};
}
inline CachePolicy create_policy_evict_last(float = 1.0F) {
  return {2};
}
inline CachePolicy create_policy_evict_normal(float = 1.0F) {
  return {3};
}
inline CachePolicy create_policy_evict_unchanged(float = 1.0F) {
  return {4};
}

}  // namespace switchyard::ptx
