#include "csrc/memory/symmetric_heap.h"

#include <fmt/format.h>

#include "csrc/memory/heap_agreement.h"
#include "csrc/memory/heap_kinds.h"
#include "switchyard/error.h"

namespace switchyard::memory {

std::unique_ptr<SymmetricHeap> SymmetricHeap::create(Bootstrap& bootstrap,
                                                     const HeapOptions& options) {
  const auto processes = agree_on_heap(bootstrap, options);
  if (is_in_process(options.kind, processes)) {
    return create_in_process_heap(bootstrap, options);
  }
  if (const int rank = rank_on_another_machine(processes); rank >= 0) {
    throw InvalidArgument(fmt::format(
        "heap kind shared memory: rank {} runs on another machine than rank 0, wanted one machine "
        "for all ranks of a scale-up domain",
        rank));
  }
  return create_shared_memory_heap(bootstrap, options, processes);
}

}  // namespace switchyard::memory
