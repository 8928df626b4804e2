// The symmetric heap in GPU memory: what SymmetricHeap promises, for the ranks of one process and
// for processes, on one GPU or several. Without types of CUDA, so that any layer above may include
// it.
#pragma once

#include <cstdint>
#include <memory>

#include "csrc/memory/symmetric_heap.h"

namespace switchyard::memory {

struct CudaHeapOptions {
  std::uint64_t heap_bytes = 0;  ///< of each rank; rounded up to the GPU's pages (2 MiB)
  /// kSharedMemory: between processes, by fabric handles or descriptors.
  HeapKind kind = HeapKind::kAuto;
  int device = 0;  ///< the GPU that holds this rank's heap, as this process numbers them
};

/// As SymmetricHeap::create, with every heap in the memory of its rank's GPU and mapped for the
/// GPUs of the ranks that share it: addresses are for kernels and copies, and the host may not load
/// from them.
/// Called by:  one thread of every rank. Makes no device current, and waits for no work of others
/// Lifetime:   to be destroyed when no kernel that uses it runs any more, on any GPU
/// Errors:     SystemError where there is no driver or GPU, where it offers no virtual memory
///             management or no way between processes, where one GPU cannot reach another, or when
///             memory is full; InvalidArgument for a device that is not there. Else as
///             SymmetricHeap::create. Every rank gets the same error
std::unique_ptr<SymmetricHeap> create_cuda_heap(Bootstrap& bootstrap,
                                                const CudaHeapOptions& options);

}  // namespace switchyard::memory
