// Finds accesses to rows that nothing orders, whatever moments the scheduler picked: a
// happens-before check by vector clocks over warps, as the C++ memory model has it. Mailbox words
// and counters are atomic and need no order; a release orders what came before it for whoever
// acquires it, a relaxed store orders nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace switchyard::sim {

/// What one warp knows at one moment: itself until `time`, every other warp until clock[warp].
struct Knowledge {
  int warp = 0;
  std::uint32_t time = 0;
  std::shared_ptr<const std::vector<std::uint32_t>> clock;

  [[nodiscard]] bool has(int of_warp, std::uint32_t moment) const;
};

class HappensBefore {
 public:
  /// Two accesses, at least one of them a write, of which neither happens before the other.
  struct Race {
    int warp = -1;  ///< of the earlier access; -1: no race
    bool was_write = false;
    const void* at = nullptr;
  };

  void add_warp();
  [[nodiscard]] Knowledge at(int warp, std::uint32_t time) const;
  /// `into` knows from now on what `known` holds.
  void join(int into, const Knowledge& known);

  /// A release became visible; an add goes on with what is there.
  void release(const void* word, const Knowledge& known, bool adds);
  /// A relaxed store became visible: acquiring it teaches nothing.
  void forget(const void* word);
  void acquire(int warp, const void* word);

  /// Rows of the heap, in units of four bytes.
  Race read(const Knowledge& known, const void* from, std::size_t bytes);
  Race write(const Knowledge& known, const void* to, std::size_t bytes);

 private:
  struct Access {
    std::int32_t warp_plus_one = 0;  ///< 0: none
    std::uint32_t time = 0;
  };
  struct Cell {
    Access writer;
    std::array<Access, 3> readers;  ///< since that write; only those that no other one covers
  };
  static constexpr std::uintptr_t kCellBytes = 4;
  static constexpr std::uintptr_t kPageBytes = 4096;
  using Page = std::array<Cell, kPageBytes / kCellBytes>;
  using Clock = std::vector<std::uint32_t>;

  [[nodiscard]] static bool is_known(const Knowledge& known, const Access& access);
  Cell& cell(std::uintptr_t address);

  std::vector<std::shared_ptr<const Clock>> clocks_;  // by warp
  std::unordered_map<const void*, std::vector<Knowledge>> released_;
  std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages_;
};

}  // namespace switchyard::sim
