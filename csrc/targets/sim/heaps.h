// The heaps of a whole group in one process: who may touch what, and poison where nothing was
// written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "csrc/memory/arena.h"
#include "csrc/protocol/control_block.h"
#include "csrc/protocol/peers.h"

namespace switchyard::sim {

/// A role did what no target would forgive: touched memory that is not its own, or never ends.
class ModelViolation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Heaps {
 public:
  /// Fills fresh regions; whoever finds it in a result reads what nobody wrote.
  static constexpr std::byte kFresh{0xa5};
  /// Fills released regions; whoever finds it reads too late.
  static constexpr std::byte kReleased{0x5a};

  Heaps(const protocol::ControlLayout& control, std::uint64_t heap_bytes);

  /// The heaps of the rank's node, as it sees them.
  [[nodiscard]] protocol::Peers peers(int rank) const;
  /// The rank whose heap holds the address, or -1.
  [[nodiscard]] int rank_of(const void* at) const { return all().rank_of(at); }
  [[nodiscard]] int ranks_per_node() const {
    return static_cast<int>(control_.num_ranks / control_.num_nodes);
  }
  [[nodiscard]] int node_of(int rank) const { return rank / ranks_per_node(); }
  [[nodiscard]] const protocol::ControlLayout& control() const { return control_; }
  [[nodiscard]] std::uint64_t heap_bytes() const { return heap_bytes_; }

  /// As Warp::allocate and release, for one rank.
  std::uint64_t allocate(int rank, std::uint64_t bytes);
  void release(int rank, std::uint64_t offset);
  [[nodiscard]] std::uint64_t largest_free(int rank) const;

  /// The region that starts there: bytes, rounded up to the arena's unit.
  [[nodiscard]] std::uint64_t region_bytes(int rank, std::uint64_t offset) const;
  [[nodiscard]] std::size_t num_regions(int rank) const;

  /// Throws unless [at, at + bytes) lies in a control block, in a region in use, or outside all
  /// heaps.
  void check_access(const void* at, std::size_t bytes, const char* what) const;

  /// "rank 2 hello[slot 1, source 0] word 4", "rank 2 region 0x3000 + 0x40", "private".
  [[nodiscard]] std::string name(const void* at) const;

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  struct RankHeap {
    explicit RankHeap(std::uint64_t begin, std::uint64_t end)
        : arena(std::make_unique<memory::Arena>(begin, end)) {}
    std::unique_ptr<memory::Arena> arena;
    std::map<std::uint64_t, std::uint64_t> regions;  // offset -> bytes
  };

  /// A page of nothing behind each heap, as every target has it.
  [[nodiscard]] std::uint64_t stride_bytes() const {
    return heap_bytes_ + memory::kRegionAlignment;
  }
  [[nodiscard]] protocol::Peers all() const {
    return {memory_.get(),
            stride_bytes(),
            0,
            static_cast<std::int32_t>(control_.num_ranks),
            heap_bytes_};
  }
  [[nodiscard]] std::string name_rails(int rank, std::uint64_t offset) const;
  [[nodiscard]] std::string name_control(int rank, std::uint64_t offset) const;
  [[nodiscard]] const RankHeap& heap(int rank) const {
    return heaps_[static_cast<std::size_t>(rank)];
  }

  protocol::ControlLayout control_;
  std::uint64_t heap_bytes_;
  std::unique_ptr<std::byte, Free> memory_;
  std::vector<RankHeap> heaps_;
};

}  // namespace switchyard::sim
