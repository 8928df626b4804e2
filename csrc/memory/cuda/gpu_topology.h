// Which GPU each rank has, what it can do, and whether the GPUs reach each other.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/memory/cuda/device_memory.h"
#include "switchyard/bootstrap.h"

namespace switchyard::memory {

/// What a rank says of its GPU. Plain data without padding.
struct GpuOfRank {
  std::array<std::uint8_t, 16> uuid{};  ///< the same in every process, where numbers may differ
  std::int64_t device = 0;              ///< in its own process
  /// By Sharing: the pages of such memory in bytes, 0 where the GPU has none.
  std::array<std::uint64_t, kNumSharings> page_bytes{};

  [[nodiscard]] std::uint64_t pages_for(Sharing sharing) const {
    return page_bytes[static_cast<std::size_t>(sharing)];
  }
};

/// Errors: InvalidArgument when there is no such device; SystemError when it has no virtual memory
/// management
GpuOfRank examine_gpu(const CudaDriver& driver, int device);

/// Throws unless the GPU of `rank` can load from and store to those of all other ranks, as far as
/// this process sees them. Errors: SystemError naming both ranks and GPUs
void check_peer_access(const CudaDriver& driver, const std::vector<GpuOfRank>& gpus, int rank);

/// The largest of the ranks' page sizes, of which the heaps are multiples; 0 unless all GPUs offer
/// this kind of sharing.
std::uint64_t common_page_bytes(const std::vector<GpuOfRank>& gpus, Sharing sharing);

/// The first rank whose GPU does not offer it, or -1.
int rank_without(const std::vector<GpuOfRank>& gpus, Sharing sharing);

/// For people: "1 GPU", "8 GPUs joined by NVLink", as `rank` sees it.
std::string describe_gpus(const CudaDriver& driver, const std::vector<GpuOfRank>& gpus, int rank);

}  // namespace switchyard::memory
