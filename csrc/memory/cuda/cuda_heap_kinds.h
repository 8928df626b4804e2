// The two kinds of heap in GPU memory, for cuda_heap.cc to choose from, and the seam at which tests
// put a driver of their own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "csrc/memory/cuda/cuda_driver.h"
#include "csrc/memory/cuda/cuda_heap.h"
#include "csrc/memory/cuda/gpu_topology.h"
#include "csrc/memory/process_identity.h"

namespace switchyard::memory {

/// What all ranks know when the kind is chosen.
struct CudaHeapPlan {
  std::shared_ptr<const CudaDriver> driver;
  std::uint64_t heap_bytes = 0;            ///< as asked for
  std::vector<ProcessIdentity> processes;  ///< by rank
  std::vector<GpuOfRank> gpus;             ///< by rank
  std::string gpus_text;                   ///< for describe()
};

/// Collective; all ranks are threads of one process.
std::unique_ptr<SymmetricHeap> create_cuda_in_process_heap(Bootstrap& bootstrap,
                                                           const CudaHeapPlan& plan);

/// Collective; ranks may be processes.
std::unique_ptr<SymmetricHeap> create_cuda_shared_heap(Bootstrap& bootstrap,
                                                       const CudaHeapPlan& plan);

using LoadCudaDriver = std::function<std::shared_ptr<const CudaDriver>()>;

/// create_cuda_heap with the driver that `load` gives.
std::unique_ptr<SymmetricHeap> create_cuda_heap_on(Bootstrap& bootstrap,
                                                   const CudaHeapOptions& options,
                                                   const LoadCudaDriver& load);

}  // namespace switchyard::memory
