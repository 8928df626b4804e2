#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "csrc/memory/heap_kinds.h"
#include "csrc/memory/heap_mapping.h"
#include "csrc/memory/share_from_rank0.h"
#include "csrc/memory/system_memory.h"
#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

class InProcessHeap final : public SymmetricHeap {
 public:
  InProcessHeap(std::shared_ptr<HeapMapping> mapping, int rank, std::string pages)
      : mapping_(std::move(mapping)), rank_(rank), pages_(std::move(pages)) {}

  [[nodiscard]] protocol::Peers peers() const override { return mapping_->peers(rank_); }
  [[nodiscard]] std::uint64_t heap_bytes() const override { return mapping_->layout().heap_bytes; }
  [[nodiscard]] std::string describe() const override { return "memory of one process, " + pages_; }

 private:
  std::shared_ptr<HeapMapping> mapping_;
  int rank_;
  std::string pages_;  // their size, for describe()
};

/// All heaps, made by rank 0 and owned by every rank together.
struct Made {
  std::shared_ptr<HeapMapping> mapping;
  std::string pages;
};

/// Puts anonymous memory behind every heap; returns errno, 0 on success.
int map_all(HeapMapping& mapping, int map_flags) {
  for (int rank = 0; rank < mapping.layout().num_ranks; ++rank) {
    if (const int error = mapping.map_anonymous(rank, map_flags); error != 0) {
      return error;
    }
  }
  return 0;
}

/// Reserved huge pages when the kernel has enough of them for all heaps; null otherwise.
std::shared_ptr<HeapMapping> map_reserved_huge_pages(int num_ranks,
                                                     const HeapOptions& options,
                                                     const SystemMemory& memory) {
  if (!options.use_huge_pages || memory.huge_page_bytes == 0) {
    return nullptr;
  }
  const auto layout = make_heap_layout(num_ranks, options.heap_bytes, memory.huge_page_bytes);
  const std::uint64_t num_pages = layout.heap_bytes / memory.huge_page_bytes;
  if (num_pages > memory.num_free_huge_pages / static_cast<std::uint64_t>(num_ranks)) {
    return nullptr;
  }
  auto mapping = std::make_shared<HeapMapping>(layout);
  // Somebody else may have taken the pages since they were counted; then ordinary ones serve.
  return map_all(*mapping, MAP_HUGETLB) == 0 ? mapping : nullptr;
}

Made make_heaps(int num_ranks, const HeapOptions& options) {
  const SystemMemory memory = read_system_memory();
  if (auto mapping = map_reserved_huge_pages(num_ranks, options, memory)) {
    return {std::move(mapping),
            fmt::format("reserved {} huge pages", format_bytes(memory.huge_page_bytes))};
  }
  const auto layout = make_heap_layout(num_ranks, options.heap_bytes, memory.page_bytes);
  auto mapping = std::make_shared<HeapMapping>(layout);
  if (const int error = map_all(*mapping, 0); error != 0) {
    throw SystemError(
        error,
        fmt::format("cannot map heaps of {} for {} ranks: {}; the machine has {} available: lower "
                    "the heap size or the number of ranks",
                    format_bytes(layout.heap_bytes),
                    num_ranks,
                    std::strerror(error),
                    format_bytes(memory.available_bytes)));
  }
  if (options.use_huge_pages) {
    for (int rank = 0; rank < num_ranks; ++rank) {
      mapping->advise_huge_pages(rank);
    }
  }
  return {std::move(mapping),
          fmt::format("{} pages{}",
                      format_bytes(memory.page_bytes),
                      options.use_huge_pages ? ", transparent huge pages advised" : "")};
}

}  // namespace

std::unique_ptr<SymmetricHeap> create_in_process_heap(Bootstrap& bootstrap,
                                                      const HeapOptions& options) {
  const auto made = share_from_rank0<Made>(bootstrap, [&] {
    return std::make_shared<Made>(make_heaps(bootstrap.num_ranks(), options));
  });
  return std::make_unique<InProcessHeap>(made->mapping, bootstrap.rank(), made->pages);
}

}  // namespace switchyard::memory
