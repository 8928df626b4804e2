#include <fmt/format.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "csrc/bootstrap/gather.h"
#include "csrc/memory/heap_kinds.h"
#include "csrc/memory/heap_mapping.h"
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

/// How rank 0 hands the heaps to the other ranks, or says why there are none.
struct Handoff {
  std::uint64_t made_address = 0;  // of a Made in this process; 0 when rank 0 failed
  std::int64_t system_errno = 0;
  std::array<char, 512> message{};
};

std::unique_ptr<SymmetricHeap> create_as_rank0(Bootstrap& bootstrap, const HeapOptions& options) {
  Handoff handoff;
  std::unique_ptr<Made> made;
  try {
    made = std::make_unique<Made>(make_heaps(bootstrap.num_ranks(), options));
    handoff.made_address = reinterpret_cast<std::uintptr_t>(made.get());
  } catch (const SystemError& error) {
    handoff.system_errno = error.system_errno();
    std::strncpy(handoff.message.data(), error.what(), handoff.message.size() - 1);
  }
  (void)bootstrap::gather_values(bootstrap, handoff);
  if (!made) {
    throw SystemError(static_cast<int>(handoff.system_errno), handoff.message.data());
  }
  auto heap = std::make_unique<InProcessHeap>(made->mapping, 0, made->pages);
  // Should a rank not come to the barrier, it may still be copying *made: then nobody may ever free
  // it.
  Made* const shared = made.release();
  bootstrap.barrier();
  delete shared;
  return heap;
}

}  // namespace

std::unique_ptr<SymmetricHeap> create_in_process_heap(Bootstrap& bootstrap,
                                                      const HeapOptions& options) {
  if (bootstrap.rank() == 0) {
    return create_as_rank0(bootstrap, options);
  }
  const Handoff handoff = bootstrap::gather_values(bootstrap, Handoff{}).front();
  if (handoff.made_address == 0) {
    throw SystemError(static_cast<int>(handoff.system_errno), handoff.message.data());
  }
  const Made made = *reinterpret_cast<const Made*>(handoff.made_address);
  bootstrap.barrier();
  return std::make_unique<InProcessHeap>(made.mapping, bootstrap.rank(), made.pages);
}

}  // namespace switchyard::memory
