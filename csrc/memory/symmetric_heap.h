// The memory that the ranks of one scale-up domain share: one heap per rank, each mapped by all, at
// one base plus rank times one stride. Threads of one process share anonymous memory; processes
// share POSIX shared memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "csrc/protocol/peers.h"
#include "switchyard/bootstrap.h"
#include "switchyard/config.h"

namespace switchyard::memory {

using switchyard::HeapKind;

struct HeapOptions {
  std::uint64_t heap_bytes = 0;  ///< of each rank; rounded up to the page size in use
  HeapKind kind = HeapKind::kAuto;
  /// Reserved huge pages when enough are free for all ranks, transparent ones otherwise.
  bool use_huge_pages = true;
};

/// Owns this rank's mapping of all heaps. Collective: every rank of the bootstrap constructs one at
/// the same time. Fresh heaps read as zero.
/// Errors: SystemError when memory or /dev/shm is full (says bytes wanted, bytes free, and how to
///         get more); ConfigMismatch when ranks ask for different sizes; BootstrapError when a rank
///         does not come; InvalidArgument when the kind does not fit where the ranks run
class SymmetricHeap {
 public:
  static std::unique_ptr<SymmetricHeap> create(Bootstrap& bootstrap, const HeapOptions& options);

  SymmetricHeap() = default;
  SymmetricHeap(const SymmetricHeap&) = delete;
  SymmetricHeap& operator=(const SymmetricHeap&) = delete;
  virtual ~SymmetricHeap() = default;

  [[nodiscard]] virtual protocol::Peers peers() const = 0;
  [[nodiscard]] virtual std::uint64_t heap_bytes() const = 0;
  /// Kind and page size, for people: "shared memory, 4 KiB pages".
  [[nodiscard]] virtual std::string describe() const = 0;
};

}  // namespace switchyard::memory
