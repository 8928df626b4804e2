// Tests over many seeds: how many, and how one that failed is run again.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>

namespace switchyard::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

/// The seed that --seed=N asks for; main.cc of the tier sets it.
inline std::optional<std::uint64_t>& replayed_seed() {
  static std::optional<std::uint64_t> seed;
  return seed;
}

/// Calls `run(seed)` for seeds 1 to `count` (a tenth of them, and one at least, under a sanitizer),
/// until one fails, or only for the replayed one.
template <class Run>
void for_each_seed(std::uint64_t count, const Run& run) {
  if (replayed_seed()) {
    run(*replayed_seed());
    return;
  }
  const std::uint64_t last = kSanitized ? (count + 9) / 10 : count;
  for (std::uint64_t seed = 1; seed <= last && !testing::Test::HasFailure(); ++seed) {
    run(seed);
  }
}

}  // namespace switchyard::test
