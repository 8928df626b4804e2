// What all ranks must agree on before any kind of heap is made, in the host's memory or a GPU's.
#pragma once

#include <vector>

#include "csrc/memory/process_identity.h"
#include "csrc/memory/symmetric_heap.h"

namespace switchyard::memory {

/// Collective: returns who the ranks are when all ask for the same heap.
/// Shapes:     the result [num_ranks]
/// Errors:     ConfigMismatch naming a rank that asks for something else; InvalidArgument for an
///             impossible size
std::vector<ProcessIdentity> agree_on_heap(Bootstrap& bootstrap, const HeapOptions& options);

/// Whether a heap of this kind is one for threads. Errors: InvalidArgument when it must be but the
/// ranks are several processes
bool is_in_process(HeapKind kind, const std::vector<ProcessIdentity>& processes);

/// The first rank that runs on another machine than rank 0, or -1.
int rank_on_another_machine(const std::vector<ProcessIdentity>& processes);

}  // namespace switchyard::memory
