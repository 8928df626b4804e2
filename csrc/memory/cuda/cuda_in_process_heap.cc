#include <fmt/format.h>

#include <map>
#include <utility>

#include "csrc/memory/cuda/cuda_heap_kinds.h"
#include "csrc/memory/share_from_rank0.h"
#include "csrc/memory/system_memory.h"

namespace switchyard::memory {
namespace {

/// All heaps, made by rank 0 and owned by every rank together. Mappings go before the contexts.
struct Made {
  std::map<CUdevice, PrimaryContext> contexts;
  std::unique_ptr<DeviceMapping> mapping;
  std::string text;
};

class CudaInProcessHeap final : public SymmetricHeap {
 public:
  CudaInProcessHeap(std::shared_ptr<const Made> made, int rank)
      : made_(std::move(made)), rank_(rank) {}

  [[nodiscard]] protocol::Peers peers() const override { return made_->mapping->peers(rank_); }
  [[nodiscard]] std::uint64_t heap_bytes() const override {
    return made_->mapping->layout().heap_bytes;
  }
  [[nodiscard]] std::string describe() const override { return made_->text; }

 private:
  std::shared_ptr<const Made> made_;
  int rank_;
};

std::shared_ptr<const Made> make_heaps(const CudaHeapPlan& plan) {
  const int num_ranks = static_cast<int>(plan.gpus.size());
  const std::uint64_t page_bytes = common_page_bytes(plan.gpus, Sharing::kNone);
  const HeapLayout layout = make_heap_layout(num_ranks, plan.heap_bytes, page_bytes);
  auto made = std::make_shared<Made>();
  std::vector<CUdevice> devices;
  for (const GpuOfRank& gpu : plan.gpus) {
    const auto device = static_cast<CUdevice>(gpu.device);
    if (!made->contexts.contains(device)) {
      made->contexts.emplace(device, PrimaryContext(plan.driver, device));
      devices.push_back(device);
    }
  }
  made->mapping = std::make_unique<DeviceMapping>(plan.driver, layout);
  for (int rank = 0; rank < num_ranks; ++rank) {
    const auto device = static_cast<CUdevice>(plan.gpus[static_cast<std::size_t>(rank)].device);
    const PrimaryContext& context = made->contexts.at(device);
    const auto memory =
        DeviceMemory::create(plan.driver, context, layout.heap_bytes, Sharing::kNone);
    made->mapping->map(rank, memory, devices);
    made->mapping->zero(rank, context);
  }
  made->text = fmt::format(
      "GPU memory of one process, {} pages, {}", format_bytes(page_bytes), plan.gpus_text);
  return made;
}

}  // namespace

std::unique_ptr<SymmetricHeap> create_cuda_in_process_heap(Bootstrap& bootstrap,
                                                           const CudaHeapPlan& plan) {
  auto made = share_from_rank0<const Made>(bootstrap, [&] { return make_heaps(plan); });
  return std::make_unique<CudaInProcessHeap>(std::move(made), bootstrap.rank());
}

}  // namespace switchyard::memory
