#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "csrc/bootstrap/gather.h"
#include "csrc/bootstrap/together.h"
#include "csrc/memory/cuda/cuda_heap_kinds.h"
#include "csrc/memory/descriptor_exchange.h"
#include "csrc/memory/heap_agreement.h"
#include "csrc/memory/system_memory.h"
#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

using bootstrap::Failure;
using bootstrap::UniqueFd;

class CudaSharedHeap final : public SymmetricHeap {
 public:
  CudaSharedHeap(PrimaryContext context,
                 std::unique_ptr<DeviceMapping> mapping,
                 int rank,
                 std::string text)
      : context_(std::move(context)),
        mapping_(std::move(mapping)),
        rank_(rank),
        text_(std::move(text)) {}

  [[nodiscard]] protocol::Peers peers() const override { return mapping_->peers(rank_); }
  [[nodiscard]] std::uint64_t heap_bytes() const override { return mapping_->layout().heap_bytes; }
  [[nodiscard]] std::string describe() const override { return text_; }

 private:
  PrimaryContext context_;  // outlives the mapping
  std::unique_ptr<DeviceMapping> mapping_;
  int rank_;
  std::string text_;
};

/// One group's set-up. Every method is collective and ends the same way on every rank.
class Assembly {
 public:
  Assembly(Bootstrap& bootstrap, const CudaHeapPlan& plan) : bootstrap_(bootstrap), plan_(plan) {}

  std::unique_ptr<SymmetricHeap> run() {
    bootstrap::run_together(bootstrap_, [this] {
      context_.emplace(plan_.driver, static_cast<CUdevice>(my_gpu().device));
    });
    std::optional<Failure> no_fabric;
    if (common_page_bytes(plan_.gpus, Sharing::kFabric) != 0) {
      no_fabric = share_by_fabric();
      if (!no_fabric) {
        return finish("fabric handles");
      }
    }
    require_descriptors(no_fabric);
    const char* way = share_by_descriptor();
    return finish(fmt::format("descriptors {}", way));
  }

 private:
  /// Takes this rank's memory, clears it, and lets `export_memory` say how others get at it.
  template <class Export>
  std::optional<Failure> make_own(Sharing sharing, Export export_memory);

  /// Maps the memory of each peer, as `import_memory(rank)` gives it.
  template <class Import>
  std::optional<Failure> map_peers(Import import_memory);

  std::optional<Failure> share_by_fabric();
  const char* share_by_descriptor();
  void require_descriptors(const std::optional<Failure>& no_fabric) const;

  std::unique_ptr<SymmetricHeap> finish(const std::string& way) {
    std::string text = fmt::format("GPU memory shared by {}, {} pages, {}",
                                   way,
                                   format_bytes(mapping_->layout().page_bytes),
                                   plan_.gpus_text);
    return std::make_unique<CudaSharedHeap>(
        std::move(*context_), std::move(mapping_), bootstrap_.rank(), std::move(text));
  }

  [[nodiscard]] const GpuOfRank& my_gpu() const {
    return plan_.gpus[static_cast<std::size_t>(bootstrap_.rank())];
  }
  void map(int rank, const DeviceMemory& memory) {
    const std::array<CUdevice, 1> readers{context_->device()};
    mapping_->map(rank, memory, readers);
  }

  Bootstrap& bootstrap_;
  const CudaHeapPlan& plan_;
  std::optional<PrimaryContext> context_;
  std::unique_ptr<DeviceMapping> mapping_;
};

template <class Export>
std::optional<Failure> Assembly::make_own(Sharing sharing, Export export_memory) {
  const HeapLayout layout = make_heap_layout(
      bootstrap_.num_ranks(), plan_.heap_bytes, common_page_bytes(plan_.gpus, sharing));
  const auto failure = bootstrap::run_and_compare(bootstrap_, [&] {
    mapping_ = std::make_unique<DeviceMapping>(plan_.driver, layout);
    const auto memory = DeviceMemory::create(plan_.driver, *context_, layout.heap_bytes, sharing);
    map(bootstrap_.rank(), memory);
    // Before the ranks compare, so that no peer sees anything but zeros, or clears what another has
    // stored.
    mapping_->zero(bootstrap_.rank(), *context_);
    export_memory(memory);
  });
  if (failure) {
    mapping_.reset();
  }
  return failure;
}

template <class Import>
std::optional<Failure> Assembly::map_peers(Import import_memory) {
  const auto failure = bootstrap::run_and_compare(bootstrap_, [&] {
    for (int rank = 0; rank < bootstrap_.num_ranks(); ++rank) {
      if (rank != bootstrap_.rank()) {
        try {
          map(rank, import_memory(rank));
        } catch (const SystemError& error) {
          throw SystemError(error.system_errno(),
                            fmt::format("the heap of rank {}: {}", rank, error.what()));
        }
      }
    }
  });
  if (failure) {
    mapping_.reset();
  }
  return failure;
}

std::optional<Failure> Assembly::share_by_fabric() {
  CUmemFabricHandle mine{};
  auto failure = make_own(Sharing::kFabric,
                          [&](const DeviceMemory& memory) { mine = memory.export_fabric(); });
  if (failure) {
    return failure;
  }
  const auto handles = bootstrap::gather_values(bootstrap_, mine);
  return map_peers([&](int rank) {
    return DeviceMemory::import_fabric(plan_.driver, handles[static_cast<std::size_t>(rank)]);
  });
}

void Assembly::require_descriptors(const std::optional<Failure>& no_fabric) const {
  const std::string fabric =
      no_fabric ? fmt::format(
                      "fabric handles fail (rank {}: {}; is there an IMEX channel, "
                      "/dev/nvidia-caps-imex-channels, for this user?)",
                      no_fabric->rank,
                      no_fabric->message)
                : fmt::format("the GPU of rank {} offers no fabric handles",
                              rank_without(plan_.gpus, Sharing::kFabric));
  if (const int rank = rank_on_another_machine(plan_.processes); rank >= 0) {
    throw SystemError(
        EOPNOTSUPP,
        fmt::format("rank {} runs on another machine than rank 0, and {}; wanted one machine for "
                    "all ranks of a scale-up domain, or an NVLink domain over machines",
                    rank,
                    fabric));
  }
  if (const int rank = rank_without(plan_.gpus, Sharing::kDescriptor); rank >= 0) {
    throw SystemError(
        EOPNOTSUPP,
        fmt::format("the GPU of rank {} cannot share memory between processes by descriptors, and "
                    "{}; use ranks of one process (heap kind in-process). CUDA IPC is no way out: "
                    "it maps memory at addresses of its own choice",
                    rank,
                    fabric));
  }
}

const char* Assembly::share_by_descriptor() {
  UniqueFd mine;
  if (const auto failure = make_own(Sharing::kDescriptor, [&](const DeviceMemory& memory) {
        mine = memory.export_descriptor();
      })) {
    bootstrap::throw_failure(*failure);
  }
  const ExchangedDescriptors exchanged =
      exchange_descriptors(bootstrap_, mine.get(), plan_.processes);
  if (const auto failure = map_peers([&](int rank) {
        return DeviceMemory::import_descriptor(
            plan_.driver, exchanged.of_rank[static_cast<std::size_t>(rank)].get());
      })) {
    bootstrap::throw_failure(*failure);
  }
  return exchanged.way;
}

}  // namespace

std::unique_ptr<SymmetricHeap> create_cuda_shared_heap(Bootstrap& bootstrap,
                                                       const CudaHeapPlan& plan) {
  return Assembly(bootstrap, plan).run();
}

}  // namespace switchyard::memory
