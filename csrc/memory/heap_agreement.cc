#include "csrc/memory/heap_agreement.h"

#include <fmt/format.h>

#include <algorithm>

#include "csrc/bootstrap/gather.h"
#include "csrc/memory/heap_mapping.h"
#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

/// What each rank asks for and who it is. Every field is 64 bits wide: no padding, nothing
/// uninitialised travels.
struct Proposal {
  std::uint64_t heap_bytes = 0;
  std::uint64_t kind = 0;
  std::uint64_t use_huge_pages = 0;
  ProcessIdentity process;
};

const char* kind_name(std::uint64_t kind) {
  switch (static_cast<HeapKind>(kind)) {
    case HeapKind::kAuto:
      return "auto";
    case HeapKind::kInProcess:
      return "in-process";
    case HeapKind::kSharedMemory:
      return "shared memory";
  }
  return "unknown";
}

/// The first rank that differs from this one is named, so each rank blames a peer and never itself.
void check_agreement(const std::vector<Proposal>& proposals, int my_rank) {
  const Proposal& mine = proposals[static_cast<std::size_t>(my_rank)];
  for (std::size_t rank = 0; rank < proposals.size(); ++rank) {
    const Proposal& other = proposals[rank];
    const auto differ = [&](const char* name, const auto& theirs, const auto& ours) {
      throw ConfigMismatch(
          static_cast<int>(rank),
          fmt::format("{}: rank {} asks for {}, rank {} for {}; give every rank the same value",
                      name,
                      rank,
                      theirs,
                      my_rank,
                      ours));
    };
    if (other.heap_bytes != mine.heap_bytes) {
      differ("heap_bytes", other.heap_bytes, mine.heap_bytes);
    }
    if (other.kind != mine.kind) {
      differ("heap kind", kind_name(other.kind), kind_name(mine.kind));
    }
    if (other.use_huge_pages != mine.use_huge_pages) {
      differ("use_huge_pages", other.use_huge_pages != 0, mine.use_huge_pages != 0);
    }
  }
}

void check_one_process(const std::vector<ProcessIdentity>& processes) {
  for (std::size_t rank = 1; rank < processes.size(); ++rank) {
    if (processes[rank] != processes[0]) {
      throw InvalidArgument(
          fmt::format("heap kind in-process: rank {} is process {}, rank 0 is process {}, wanted "
                      "threads of one process; use shared memory between processes",
                      rank,
                      processes[rank].pid,
                      processes[0].pid));
    }
  }
}

}  // namespace

std::vector<ProcessIdentity> agree_on_heap(Bootstrap& bootstrap, const HeapOptions& options) {
  // Every check comes after the exchange: a rank that threw before it would leave the others
  // waiting.
  const auto proposals =
      bootstrap::gather_values(bootstrap,
                               Proposal{.heap_bytes = options.heap_bytes,
                                        .kind = static_cast<std::uint64_t>(options.kind),
                                        .use_huge_pages = options.use_huge_pages ? 1U : 0U,
                                        .process = this_process()});
  check_agreement(proposals, bootstrap.rank());
  check_heap_bytes(bootstrap.num_ranks(), options.heap_bytes);
  std::vector<ProcessIdentity> processes;
  processes.reserve(proposals.size());
  for (const Proposal& proposal : proposals) {
    processes.push_back(proposal.process);
  }
  return processes;
}

bool is_in_process(HeapKind kind, const std::vector<ProcessIdentity>& processes) {
  if (kind == HeapKind::kInProcess) {
    check_one_process(processes);
    return true;
  }
  return kind == HeapKind::kAuto &&
         std::all_of(processes.begin(), processes.end(), [&](const auto& process) {
           return process == processes.front();
         });
}

int rank_on_another_machine(const std::vector<ProcessIdentity>& processes) {
  for (std::size_t rank = 1; rank < processes.size(); ++rank) {
    if (processes[rank].boot_id != processes[0].boot_id) {
      return static_cast<int>(rank);
    }
  }
  return -1;
}

}  // namespace switchyard::memory
