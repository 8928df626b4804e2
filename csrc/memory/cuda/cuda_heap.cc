#include "csrc/memory/cuda/cuda_heap.h"

#include "csrc/bootstrap/gather.h"
#include "csrc/bootstrap/together.h"
#include "csrc/memory/cuda/cuda_heap_kinds.h"
#include "csrc/memory/heap_agreement.h"

namespace switchyard::memory {

std::unique_ptr<SymmetricHeap> create_cuda_heap_on(Bootstrap& bootstrap,
                                                   const CudaHeapOptions& options,
                                                   const LoadCudaDriver& load) {
  CudaHeapPlan plan;
  plan.heap_bytes = options.heap_bytes;
  plan.processes = agree_on_heap(
      bootstrap, {.heap_bytes = options.heap_bytes, .kind = options.kind, .use_huge_pages = false});
  const bool in_process = is_in_process(options.kind, plan.processes);
  GpuOfRank mine;
  bootstrap::run_together(bootstrap, [&] {
    plan.driver = load();
    mine = examine_gpu(*plan.driver, options.device);
  });
  plan.gpus = bootstrap::gather_values(bootstrap, mine);
  bootstrap::run_together(bootstrap, [&] {
    check_peer_access(*plan.driver, plan.gpus, bootstrap.rank());
    plan.gpus_text = describe_gpus(*plan.driver, plan.gpus, bootstrap.rank());
  });
  return in_process ? create_cuda_in_process_heap(bootstrap, plan)
                    : create_cuda_shared_heap(bootstrap, plan);
}

std::unique_ptr<SymmetricHeap> create_cuda_heap(Bootstrap& bootstrap,
                                                const CudaHeapOptions& options) {
  return create_cuda_heap_on(bootstrap, options, load_cuda_driver);
}

}  // namespace switchyard::memory
