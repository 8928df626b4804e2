#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "csrc/bootstrap/gather.h"
#include "csrc/bootstrap/together.h"
#include "csrc/memory/heap_kinds.h"
#include "csrc/memory/heap_mapping.h"
#include "csrc/memory/shared_memory_file.h"
#include "csrc/memory/system_memory.h"
#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

using bootstrap::UniqueFd;

class SharedMemoryHeap final : public SymmetricHeap {
 public:
  SharedMemoryHeap(std::unique_ptr<HeapMapping> mapping, int rank, std::string pages)
      : mapping_(std::move(mapping)), rank_(rank), pages_(std::move(pages)) {}

  [[nodiscard]] protocol::Peers peers() const override { return mapping_->peers(rank_); }
  [[nodiscard]] std::uint64_t heap_bytes() const override { return mapping_->layout().heap_bytes; }
  [[nodiscard]] std::string describe() const override { return "shared memory, " + pages_; }

 private:
  std::unique_ptr<HeapMapping> mapping_;
  int rank_;
  std::string pages_;  // their size, for describe()
};

/// The smallest of what the ranks see, so that all decide alike. Called before any rank takes
/// memory.
SystemMemory agree_on_memory(Bootstrap& bootstrap) {
  SystemMemory least = read_system_memory();
  for (const SystemMemory& seen : bootstrap::gather_values(bootstrap, least)) {
    least.available_bytes = std::min(least.available_bytes, seen.available_bytes);
    least.free_swap_bytes = std::min(least.free_swap_bytes, seen.free_swap_bytes);
    least.huge_page_bytes = std::min(least.huge_page_bytes, seen.huge_page_bytes);
    least.num_free_huge_pages = std::min(least.num_free_huge_pages, seen.num_free_huge_pages);
  }
  return least;
}

/// Reserving more than there is would call the kernel's killer of processes instead of failing.
void check_available(const SystemMemory& memory, const HeapLayout& layout) {
  const std::uint64_t needed = layout.heap_bytes * static_cast<std::uint64_t>(layout.num_ranks);
  const std::uint64_t available = memory.available_bytes + memory.free_swap_bytes;
  if (memory.available_bytes != 0 && needed > available) {
    throw SystemError(ENOMEM,
                      fmt::format("heaps of {} for {} ranks need {}, the machine has {} available; "
                                  "lower the heap size or the number of ranks",
                                  format_bytes(layout.heap_bytes),
                                  layout.num_ranks,
                                  format_bytes(needed),
                                  format_bytes(available)));
  }
}

/// One group's set-up. Every method is collective and ends the same way on every rank.
class Assembly {
 public:
  Assembly(Bootstrap& bootstrap,
           const HeapOptions& options,
           const std::vector<ProcessIdentity>& processes)
      : bootstrap_(bootstrap),
        options_(options),
        processes_(processes),
        names_(bootstrap::gather_values(bootstrap, random_file_name())),
        sweeper_(names_) {}

  std::unique_ptr<SymmetricHeap> run() {
    const SystemMemory memory = agree_on_memory(bootstrap_);
    std::unique_ptr<SymmetricHeap> heap = on_reserved_huge_pages(memory);
    if (!heap) {
      heap = on_dev_shm(memory);
    }
    return heap;
  }

 private:
  std::unique_ptr<SymmetricHeap> on_reserved_huge_pages(const SystemMemory& memory);
  std::unique_ptr<SymmetricHeap> on_dev_shm(const SystemMemory& memory);

  /// Makes this rank's file, reserves the addresses of all, and tells the others of the file.
  std::optional<bootstrap::Failure> make_files(Backing backing, const HeapLayout& layout);

  /// Maps the file of each rank, the peers' as `open_peer(rank)` opens them.
  template <class OpenPeer>
  std::optional<bootstrap::Failure> map_all(OpenPeer open_peer);

  std::optional<bootstrap::Failure> map_by_descriptor();
  std::optional<bootstrap::Failure> map_by_name();

  std::unique_ptr<SymmetricHeap> finish(std::string pages) {
    return std::make_unique<SharedMemoryHeap>(
        std::move(mapping_), bootstrap_.rank(), std::move(pages));
  }

  [[nodiscard]] const SharedFileName& my_name() const {
    return names_[static_cast<std::size_t>(bootstrap_.rank())];
  }

  Bootstrap& bootstrap_;
  const HeapOptions& options_;
  const std::vector<ProcessIdentity>& processes_;
  std::vector<SharedFileName> names_;  // known to all before any file has one
  NameSweeper sweeper_;
  UniqueFd file_;
  std::unique_ptr<HeapMapping> mapping_;
  std::vector<SharedFileId> announced_;
};

std::unique_ptr<SymmetricHeap> Assembly::on_reserved_huge_pages(const SystemMemory& memory) {
  if (!options_.use_huge_pages || memory.huge_page_bytes == 0) {
    return nullptr;
  }
  const auto layout =
      make_heap_layout(bootstrap_.num_ranks(), options_.heap_bytes, memory.huge_page_bytes);
  const std::uint64_t num_pages = layout.heap_bytes / layout.page_bytes;
  if (num_pages > memory.num_free_huge_pages / static_cast<std::uint64_t>(layout.num_ranks)) {
    return nullptr;
  }
  // Somebody else may take the pages meanwhile, and a peer may be out of reach: ordinary pages
  // serve then.
  if (make_files(Backing::kReservedHugePages, layout) || map_by_descriptor()) {
    return nullptr;
  }
  return finish(fmt::format("reserved {} huge pages", format_bytes(layout.page_bytes)));
}

std::unique_ptr<SymmetricHeap> Assembly::on_dev_shm(const SystemMemory& memory) {
  const auto layout =
      make_heap_layout(bootstrap_.num_ranks(), options_.heap_bytes, memory.page_bytes);
  check_available(memory, layout);
  if (const auto failure = make_files(Backing::kDevShm, layout)) {
    bootstrap::throw_failure(*failure);
  }
  if (map_by_descriptor()) {
    if (const auto failure = map_by_name()) {
      bootstrap::throw_failure(*failure);
    }
  }
  return finish(fmt::format("{} pages", format_bytes(layout.page_bytes)));
}

std::optional<bootstrap::Failure> Assembly::make_files(Backing backing, const HeapLayout& layout) {
  SharedFileId mine;
  const auto failure = bootstrap::run_and_compare(bootstrap_, [&] {
    mapping_ = std::make_unique<HeapMapping>(layout);
    file_ = make_shared_file(backing, layout.heap_bytes, layout.num_ranks, my_name());
    mine = identify(file_);
  });
  if (failure) {
    file_.reset();
    return failure;
  }
  announced_ = bootstrap::gather_values(bootstrap_, mine);
  return std::nullopt;
}

template <class OpenPeer>
std::optional<bootstrap::Failure> Assembly::map_all(OpenPeer open_peer) {
  return bootstrap::run_and_compare(bootstrap_, [&] {
    for (int rank = 0; rank < bootstrap_.num_ranks(); ++rank) {
      const SharedFileId& announced = announced_[static_cast<std::size_t>(rank)];
      if (announced.bytes != mapping_->layout().heap_bytes) {
        // Storing behind a shorter file would kill this process.
        throw SystemError(EINVAL,
                          fmt::format("the heap of rank {} has {} bytes, wanted {}",
                                      rank,
                                      announced.bytes,
                                      mapping_->layout().heap_bytes));
      }
      const bool is_mine = rank == bootstrap_.rank();
      const UniqueFd peer_file = is_mine ? UniqueFd() : open_peer(rank);
      const int fd = is_mine ? file_.get() : peer_file.get();
      if (const int error = mapping_->map_file(rank, fd); error != 0) {
        throw SystemError(error, fmt::format("cannot map the heap of rank {}", rank));
      }
      if (options_.use_huge_pages) {
        mapping_->advise_huge_pages(rank);
      }
    }
  });
}

std::optional<bootstrap::Failure> Assembly::map_by_descriptor() {
  return map_all([this](int rank) {
    const ProcessIdentity& owner = processes_[static_cast<std::size_t>(rank)];
    const ProcessIdentity& self = processes_[static_cast<std::size_t>(bootstrap_.rank())];
    if (!self.shares_pids_with(owner)) {
      throw SystemError(ESRCH, fmt::format("rank {} lives in another PID namespace", rank));
    }
    return open_by_descriptor(owner.pid, announced_[static_cast<std::size_t>(rank)]);
  });
}

std::optional<bootstrap::Failure> Assembly::map_by_name() {
  const auto failure =
      bootstrap::run_and_compare(bootstrap_, [this] { link_shared_file(file_, my_name()); });
  if (failure) {
    return failure;
  }
  return map_all([this](int rank) {
    return open_by_name(names_[static_cast<std::size_t>(rank)],
                        announced_[static_cast<std::size_t>(rank)]);
  });
}

}  // namespace

std::unique_ptr<SymmetricHeap> create_shared_memory_heap(
    Bootstrap& bootstrap,
    const HeapOptions& options,
    const std::vector<ProcessIdentity>& processes) {
  return Assembly(bootstrap, options, processes).run();
}

}  // namespace switchyard::memory
