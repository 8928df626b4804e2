// The shared memory of one warp: stages through which rows pass, and the barriers that count their
// bytes. The one description from which kernels and launcher take sizes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "switchyard/layout.h"

namespace switchyard::cuda {

inline constexpr int kLanes = 32;

/// Warps of a block, and blocks of an SM: one. Fewer: less in flight, and the SM's path to memory
/// idles; more: stages too small for their bulk copies.
/// derived: 12 warps of 168 registers fill the register file of an SM; with 16 of 128 the sums
/// spilled.
inline constexpr int kWarpsPerBlock = 12;
inline constexpr int kThreadsPerBlock = kWarpsPerBlock * kLanes;

/// Stages of a copy. A stage is free again when every store out of it has read it.
inline constexpr int kCopyStages = 4;
inline constexpr std::uint32_t kCopyStageBytes = 4096;
/// Loads under way before the oldest is waited for; the other stages drain into stores.
inline constexpr int kCopyLoads = 2;
static_assert(kCopyLoads < kCopyStages, "a stage must be able to drain while others fill");

/// Stages of a sum: contributions on their way in, and one result on its way out. A part of a row
/// is what one stage holds.
inline constexpr int kSumStages = 7;
inline constexpr std::uint32_t kSumStageBytes = 2048;

inline constexpr std::uint32_t kRowMemoryBytes = kCopyStages * kCopyStageBytes;
static_assert(kRowMemoryBytes == (kSumStages + 1) * kSumStageBytes, "both uses share the memory");

/// derived: an SM of sm_90 must have some 75 GB/s x 1 us = 75 KB under way each way.
static_assert(kWarpsPerBlock * kCopyLoads * kCopyStageBytes >= 75'000);

struct alignas(128) WarpMemory {
  std::byte rows[kRowMemoryBytes];
  std::uint64_t copy_arrived[kCopyStages];  // mbarriers
  std::uint64_t sum_arrived[kSumStages];
  // Of the part in each copy stage:
  std::byte* copy_dests[kCopyStages][kMaxTopk];
  std::int32_t copy_num_dests[kCopyStages];
  std::uint32_t copy_bytes[kCopyStages];
  std::byte* filling;  // the copy stage that the warp itself fills
};
static_assert(sizeof(WarpMemory) * kWarpsPerBlock <= 227 * 1024, "shared memory of an SM of sm_90");

}  // namespace switchyard::cuda
