// The bulk-copy engine of one block, as hostile as the manual allows: a load arrives at any moment
// before its barrier says so, a store reads its source and writes its destination at any moment
// before its group is waited for. Whatever code may not rely on is an error with a name: stages
// used too early, proxy fences left out, barriers armed twice, misaligned addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/emulated/device/world.h"

namespace switchyard::emulated {

/// Memory [begin, end).
struct Extent {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;

  static Extent of(const void* at, std::size_t bytes) {
    const auto* first = static_cast<const std::byte*>(at);
    return {first, first + bytes};
  }
  [[nodiscard]] bool overlaps(const Extent& other) const {
    return begin < other.end && other.begin < end;
  }
  [[nodiscard]] bool holds(const Extent& other) const {
    return begin <= other.begin && other.end <= end;
  }
  [[nodiscard]] std::uint32_t bytes() const { return static_cast<std::uint32_t>(end - begin); }
};

class BulkEngine {
 public:
  BulkEngine(World& world, Extent shared, std::size_t num_lanes, std::uint64_t seed);

  // One call of one lane each. Lanes are counted over the block.
  void load(std::size_t lane, const Extent& to, const std::byte* from, std::uint64_t* barrier);
  void store(std::size_t lane, std::byte* to, const Extent& from);
  void commit(std::size_t lane);
  void wait(std::size_t lane, std::uint32_t pending);
  void wait_read(std::size_t lane, std::uint32_t pending);

  void init_barrier(std::uint64_t* barrier, std::uint32_t arrivals);
  void end_barrier(std::uint64_t* barrier);
  void expect(std::uint64_t* barrier, std::uint32_t bytes);
  void arrive(std::uint64_t* barrier);
  bool test(std::size_t lane, std::uint64_t* barrier, std::uint32_t parity);

  void note_vector_store(std::size_t lane, const Extent& at);
  void note_acquire(std::size_t lane);
  void note_release(std::size_t lane);
  void fence_proxy(std::size_t lane, bool shared, bool global);

  [[nodiscard]] bool busy() const { return num_pending_ != 0; }
  /// A piece of something that is under way happens.
  void run_one();
  /// Nothing may be under way when the block ends: its shared memory goes to another.
  void check_nothing_is_left() const;

 private:
  struct Load {
    Extent to;
    const std::byte* from;
    std::uint64_t* barrier;
    std::uint64_t phase;  ///< of the barrier, counted
    std::uint32_t copied = 0;

    [[nodiscard]] bool done() const { return copied == to.bytes(); }
  };
  struct Store {
    Extent from;
    std::byte* to;
    std::size_t lane;
    std::uint64_t group;
    bool read_promised = false;  ///< a wait said that the source is read
    bool read = false;
    bool written = false;
    std::vector<std::byte> data;
  };
  struct Barrier {
    std::uint32_t arrivals = 0;  ///< of each phase
    std::uint32_t arrived = 0;
    std::uint64_t expected_bytes = 0;
    std::uint64_t issued_bytes = 0;
    std::uint64_t complete_bytes = 0;
    std::uint64_t phase = 0;                    ///< phases complete
    std::map<std::size_t, std::uint64_t> seen;  ///< by lane: phases that it saw complete
  };
  struct Lane {
    std::uint64_t group = 0;   ///< that the next store belongs to
    std::uint64_t waited = 0;  ///< groups before this one are written, this lane knows
    bool group_open = false;
    bool unfenced_writes = false;       ///< waited for, and no proxy fence since
    std::uint64_t fenced_acquires = 0;  ///< of its warp, that a proxy fence followed
    std::vector<std::uint32_t>
        dirty;  ///< units of shared memory, stored by no proxy fence followed
  };

  void check_alignment(const Extent& shared, const void* global, const char* what) const;
  void check_stage_is_free(const Extent& at, const char* what) const;
  void check_fenced_acquires(std::size_t lane, const char* what) const;
  Barrier& barrier_at(std::uint64_t* barrier);
  void turn(Barrier& barrier);
  void advance(Load& load, std::uint32_t bytes);
  void read(Store& store);
  void write(Store& store);
  [[nodiscard]] std::uint32_t unit_of(const std::byte* at) const {
    return static_cast<std::uint32_t>((at - shared_.begin) / 16);
  }
  [[nodiscard]] std::string name(const std::byte* shared) const;

  World& world_;
  Extent shared_;
  Random random_;
  std::vector<Load> loads_;    // until somebody saw the phase complete
  std::vector<Store> stores_;  // until waited for
  std::map<std::uint64_t*, Barrier> barriers_;
  std::vector<Lane> lanes_;
  std::vector<std::uint64_t> acquires_;  // by warp
  std::vector<std::uint16_t> dirty_by_;  // by unit: 1 + the lane that stored, 0 when clean
  std::vector<bool> loaded_;             // by unit: a bulk load filled it last
  std::size_t num_pending_ = 0;
};

}  // namespace switchyard::emulated
