// The part of CUDA's language that the kernels use, for g++: qualifiers, vector types, places in
// block and grid, intrinsics. Included before anything else of a test of this tier, as nvcc does it
// with its own.
#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/emulated/device/lane.h"

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the names are CUDA's.

#define __host__
#define __device__
#define __global__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
// Every block runs on an OS thread of its own. Not thread_local, for whose sake g++ looks for an
// initialiser elsewhere.
#define __shared__ __thread

struct float2 {
  float x;
  float y;
};

/// Vectors of 8 and 16 bytes. Their stores into shared memory are seen by the emulator.
struct alignas(8) uint2 {
  std::uint32_t x;
  std::uint32_t y;

  uint2& operator=(const uint2& other) {
    switchyard::emulated::note_vector_store(this, sizeof(*this));
    x = other.x;
    y = other.y;
    return *this;
  }
};
struct alignas(16) uint4 {
  std::uint32_t x;
  std::uint32_t y;
  std::uint32_t z;
  std::uint32_t w;

  uint4& operator=(const uint4& other) {
    switchyard::emulated::note_vector_store(this, sizeof(*this));
    x = other.x;
    y = other.y;
    z = other.z;
    w = other.w;
    return *this;
  }
};

struct uint3 {
  unsigned x;
  unsigned y;
  unsigned z;
};
inline thread_local uint3 threadIdx{0, 0, 0};
inline thread_local uint3 blockIdx{0, 0, 0};
inline thread_local uint3 blockDim{1, 1, 1};
inline thread_local uint3 gridDim{1, 1, 1};

// Meetings take the place in the text where they are called: lanes that meet at different places
// went apart.

inline void __syncwarp(std::uint32_t lanes = ~0U,
                       switchyard::emulated::Place where = switchyard::emulated::Place::here()) {
  switchyard::emulated::meet_warp(switchyard::emulated::Meeting::kSyncWarp, lanes, 0, where);
}
inline void __syncthreads(switchyard::emulated::Place where = switchyard::emulated::Place::here()) {
  switchyard::emulated::meet_block(where);
}

namespace switchyard::emulated {

template <class T>
std::uint64_t to_board(T value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(value));
  return bits;
}
template <class T>
T from_board(std::uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace switchyard::emulated

template <class T>
T __shfl_sync(std::uint32_t lanes,
              T value,
              int from,
              switchyard::emulated::Place where = switchyard::emulated::Place::here()) {
  const std::uint64_t* board = switchyard::emulated::meet_warp(
      switchyard::emulated::Meeting::kShuffle, lanes, switchyard::emulated::to_board(value), where);
  return switchyard::emulated::from_board<T>(board[static_cast<std::uint32_t>(from) % 32]);
}
template <class T>
T __shfl_xor_sync(std::uint32_t lanes,
                  T value,
                  int distance,
                  switchyard::emulated::Place where = switchyard::emulated::Place::here()) {
  const std::uint64_t* board = switchyard::emulated::meet_warp(
      switchyard::emulated::Meeting::kShuffle, lanes, switchyard::emulated::to_board(value), where);
  return switchyard::emulated::from_board<T>(
      board[(switchyard::emulated::lane_of_warp() ^ static_cast<std::uint32_t>(distance)) % 32]);
}
template <class T>
std::uint32_t __match_any_sync(
    std::uint32_t lanes,
    T value,
    switchyard::emulated::Place where = switchyard::emulated::Place::here()) {
  const std::uint64_t* board =
      switchyard::emulated::meet_warp(switchyard::emulated::Meeting::kMatchAny,
                                      lanes,
                                      switchyard::emulated::to_board(value),
                                      where);
  std::uint32_t same = 0;
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    same |= board[lane] == switchyard::emulated::to_board(value) ? 1U << lane : 0U;
  }
  return same;
}

inline int __ffs(int word) {
  return word == 0 ? 0 : std::countr_zero(static_cast<unsigned>(word)) + 1;
}
inline int __clz(int word) {
  return std::countl_zero(static_cast<unsigned>(word));
}
inline int __popc(std::uint32_t word) {
  return std::popcount(word);
}

inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}

namespace switchyard::emulated {

/// max.f32 and min.f32: of a number and a NaN the number, which the C library does not promise for
/// signalling NaNs.
inline float max_f32(float a, float b) {
  return a != a || a < b ? b : a;
}
inline float min_f32(float a, float b) {
  return a != a || b < a ? b : a;
}

}  // namespace switchyard::emulated

#define fmaxf(a, b) (::switchyard::emulated::max_f32((a), (b)))
#define fminf(a, b) (::switchyard::emulated::min_f32((a), (b)))

inline std::uint32_t __float_as_uint(float value) {
  return std::bit_cast<std::uint32_t>(value);
}
inline float __uint_as_float(std::uint32_t bits) {
  return std::bit_cast<float>(bits);
}

inline int atomicAdd(int* word, int value) {
  switchyard::emulated::maybe_yield();
  return std::atomic_ref<int>(*word).fetch_add(value, std::memory_order_relaxed);
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
