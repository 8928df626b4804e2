// The two kinds of symmetric heap, for symmetric_heap.cc to choose from; users call
// SymmetricHeap::create.
#pragma once

#include <memory>
#include <vector>

#include "csrc/memory/process_identity.h"
#include "csrc/memory/symmetric_heap.h"

namespace switchyard::memory {

/// Collective; all ranks asked for the same options and are threads of one process.
std::unique_ptr<SymmetricHeap> create_in_process_heap(Bootstrap& bootstrap,
                                                      const HeapOptions& options);

/// Collective; all ranks asked for the same options.
/// Shapes: processes [num_ranks]
std::unique_ptr<SymmetricHeap> create_shared_memory_heap(
    Bootstrap& bootstrap,
    const HeapOptions& options,
    const std::vector<ProcessIdentity>& processes);

}  // namespace switchyard::memory
