// The address range in which all heaps of a scale-up domain are mapped, on the machine's virtual
// memory. What memory lies behind a heap (anonymous, shared) is the business of the heap kinds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/peers.h"

namespace switchyard::memory {

/// Sizes agreed by all ranks.
struct HeapLayout {
  int num_ranks = 0;
  std::uint64_t heap_bytes = 0;  ///< a multiple of page_bytes
  std::uint64_t page_bytes = 0;  ///< of the memory behind the heaps

  /// From one heap to the next: whole huge pages, so that each heap can use them, and at least one
  /// page of nothing behind each heap, so that running over its end faults instead of corrupting a
  /// neighbour.
  [[nodiscard]] std::uint64_t stride_bytes() const;
};

/// Errors: InvalidArgument when `heap_bytes` is 0 or when `num_ranks` such heaps exceed the address
/// space
void check_heap_bytes(int num_ranks, std::uint64_t heap_bytes);

/// Rounds `wanted_bytes`, which check_heap_bytes has accepted, up to pages of `page_bytes`.
HeapLayout make_heap_layout(int num_ranks, std::uint64_t wanted_bytes, std::uint64_t page_bytes);

/// One reservation of addresses without memory, into which each heap is mapped at base + rank *
/// stride. Owns all that is mapped there.
class HeapMapping {
 public:
  /// Errors: SystemError when the address space is exhausted (ulimit -v)
  explicit HeapMapping(const HeapLayout& layout);
  HeapMapping(const HeapMapping&) = delete;
  HeapMapping& operator=(const HeapMapping&) = delete;
  ~HeapMapping();

  /// Puts zeroed private memory behind the heap of `rank`; `map_flags` adds MAP_HUGETLB. Returns
  /// errno, 0 on success.
  [[nodiscard]] int map_anonymous(int rank, int map_flags);
  /// Puts the file behind the heap of `rank`. Returns errno, 0 on success.
  [[nodiscard]] int map_file(int rank, int fd);
  /// Asks for transparent huge pages behind the heap of `rank`: advice, so a refusal is no error.
  void advise_huge_pages(int rank);

  [[nodiscard]] const HeapLayout& layout() const { return layout_; }
  [[nodiscard]] std::byte* heap(int rank) const {
    return base_ + static_cast<std::uint64_t>(rank) * layout_.stride_bytes();
  }
  [[nodiscard]] protocol::Peers peers(int rank) const {
    return {.base = base_,
            .stride_bytes = layout_.stride_bytes(),
            .rank = rank,
            .num_ranks = layout_.num_ranks,
            .heap_bytes = layout_.heap_bytes};
  }

 private:
  HeapLayout layout_;
  void* reserved_ = nullptr;
  std::uint64_t reserved_bytes_ = 0;
  std::byte* base_ = nullptr;
};

}  // namespace switchyard::memory
