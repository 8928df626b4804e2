// How a role names memory of another rank: every rank's heap is mapped at one base plus rank times
// one stride, so an address tells its rank and an offset means the same place everywhere.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/host_device.h"

namespace switchyard::protocol {

/// The symmetric heap of a scale-up domain as one rank sees it. Plain data, handed to kernels by
/// value; owns nothing.
/// Lifetime: as long as the memory::SymmetricHeap it came from.
struct Peers {
  std::byte* base = nullptr;       ///< rank 0's heap
  std::uint64_t stride_bytes = 0;  ///< from one rank's heap to the next
  std::int32_t rank = 0;
  std::int32_t num_ranks = 0;
  /// Of a heap; what follows up to the next one is no memory. 0: the heaps lie side by side.
  std::uint64_t heap_bytes = 0;

  SY_HOST_DEVICE std::byte* at(int peer, std::uint64_t offset_bytes) const {
    return base + static_cast<std::uint64_t>(peer) * stride_bytes + offset_bytes;
  }
  SY_HOST_DEVICE std::byte* local(std::uint64_t offset_bytes) const {
    return at(rank, offset_bytes);
  }
  /// First offset that is not in a peer's heap: whatever a peer says must end there.
  SY_HOST_DEVICE std::uint64_t end_of_heap() const {
    return heap_bytes == 0 ? stride_bytes : heap_bytes;
  }
  /// The rank whose heap holds `pointer`, or -1 when no heap of the domain does.
  SY_HOST_DEVICE int rank_of(const void* pointer) const {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    const auto first = reinterpret_cast<std::uintptr_t>(base);
    if (address < first) {
      return -1;
    }
    const std::uint64_t index = (address - first) / stride_bytes;
    return index < static_cast<std::uint64_t>(num_ranks) ? static_cast<int>(index) : -1;
  }
};

}  // namespace switchyard::protocol
