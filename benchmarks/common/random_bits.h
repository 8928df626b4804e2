// Random numbers that are the same on every machine: the standard fixes the engine's bits, and the
// conversions are here, since the standard library's distributions differ between implementations.
#pragma once

#include <cstdint>
#include <random>

namespace switchyard::bench {

/// A bijective mix of 64 bits (the finaliser of Steele, Lea and Flood's SplitMix64): neighbouring
/// inputs give unrelated outputs.
constexpr std::uint64_t mix_bits(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

class RandomBits {
 public:
  /// Streams of one seed are independent.
  RandomBits(std::uint64_t seed, std::uint64_t stream)
      : engine_(mix_bits(mix_bits(seed) ^ stream)) {}

  std::uint64_t bits() { return engine_(); }

  /// In [0, 1), a multiple of 2^-53.
  double unit() { return static_cast<double>(bits() >> 11U) * 0x1p-53; }

  /// In [0, bound), all alike; bound > 0.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t unfair =
        -bound % bound;  // 2^64 mod bound: the first so many draws would favour small results
    std::uint64_t draw = bits();
    while (draw < unfair) {
      draw = bits();
    }
    return draw % bound;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace switchyard::bench
