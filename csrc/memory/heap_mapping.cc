#include "csrc/memory/heap_mapping.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "csrc/memory/system_memory.h"
#include "csrc/protocol/check.h"
#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

/// Transparent huge pages are this big where pages have 4 KiB; a smaller true size only makes the
/// stride generous.
constexpr std::uint64_t kStrideAlignment = 2ULL << 20;

/// User addresses have 47 bits on x86-64 and at least as many on the other 64-bit machines we run
/// on.
constexpr std::uint64_t kAddressSpaceBytes = 1ULL << 47;

std::uint64_t alignment_of(const HeapLayout& layout) {
  return std::max(kStrideAlignment, layout.page_bytes);
}

}  // namespace

std::uint64_t HeapLayout::stride_bytes() const {
  return round_up(heap_bytes + page_bytes, std::max(kStrideAlignment, page_bytes));
}

void check_heap_bytes(int num_ranks, std::uint64_t heap_bytes) {
  const std::uint64_t most = kAddressSpaceBytes / 4 / static_cast<std::uint64_t>(num_ranks);
  if (heap_bytes == 0 || heap_bytes > most) {
    throw InvalidArgument(fmt::format(
        "heap_bytes: got {}, wanted 1 to {} so that the heaps of {} ranks can be mapped",
        heap_bytes,
        most,
        num_ranks));
  }
}

HeapLayout make_heap_layout(int num_ranks, std::uint64_t wanted_bytes, std::uint64_t page_bytes) {
  return {.num_ranks = num_ranks,
          .heap_bytes = round_up(wanted_bytes, page_bytes),
          .page_bytes = page_bytes};
}

HeapMapping::HeapMapping(const HeapLayout& layout) : layout_(layout) {
  const std::uint64_t alignment = alignment_of(layout);
  const std::uint64_t wanted = layout.stride_bytes() * static_cast<std::uint64_t>(layout.num_ranks);
  reserved_bytes_ = wanted + alignment;
  reserved_ = ::mmap(
      nullptr, reserved_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved_ == MAP_FAILED) {
    const int error = errno;
    throw SystemError(
        error,
        fmt::format("cannot reserve {} of addresses for the heaps of {} ranks: {}; lower the heap "
                    "size, or raise the limit of the address space (ulimit -v)",
                    format_bytes(reserved_bytes_),
                    layout.num_ranks,
                    std::strerror(error)));
  }
  const auto first = reinterpret_cast<std::uintptr_t>(reserved_);
  base_ = static_cast<std::byte*>(reserved_) + (round_up(first, alignment) - first);
}

HeapMapping::~HeapMapping() {
  ::munmap(reserved_, reserved_bytes_);
}

int HeapMapping::map_anonymous(int rank, int map_flags) {
  SY_CHECK(rank >= 0 && rank < layout_.num_ranks, "a heap belongs to a rank of the group");
  void* mapped = ::mmap(heap(rank),
                        layout_.heap_bytes,
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | map_flags,
                        -1,
                        0);
  return mapped == MAP_FAILED ? errno : 0;
}

int HeapMapping::map_file(int rank, int fd) {
  SY_CHECK(rank >= 0 && rank < layout_.num_ranks, "a heap belongs to a rank of the group");
  void* mapped =
      ::mmap(heap(rank), layout_.heap_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  return mapped == MAP_FAILED ? errno : 0;
}

void HeapMapping::advise_huge_pages(int rank) {
  (void)::madvise(heap(rank), layout_.heap_bytes, MADV_HUGEPAGE);
}

}  // namespace switchyard::memory
