// A memory in which stores become visible late and out of order, as far as the promises of
// csrc/protocol/warp.h allow. Single-threaded: a seed decides what becomes visible when.
//
// The model. A store is held back until it is published; then every rank sees it.
//  - Rows, words and relaxed stores of one warp are published in any order, and may overtake its
//    releases.
//  - A release is published after every store that came before it in its warp, and, since an
//    operation is issued after earlier ones were finished, after every store of operations that
//    this rank had finished when the warp came to life. Releases of one warp therefore keep their
//    order: each carries the ones before it.
//  - Two stores to one place, one of which came before the other in that sense, keep their order.
//  - A warp sees its own stores, and those of operations finished before it: reading publishes
//  them.
// What is published is visible to all at once, so whatever a warp acquired is carried by its own
// releases. Reads are not delayed; instead every access to a row is checked to be ordered with the
// accesses before it (happens_before.h), which finds what a late read could: an acquire, or a
// release, that is missing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "csrc/protocol/control_block.h"
#include "tests/support/happens_before.h"
#include "tests/support/test_heaps.h"

namespace switchyard::test {

/// Ways to break the model, to show that tests notice.
struct WeakMemoryOptions {
  bool rows_pass_releases = false;
  bool acquires_teach_nothing = false;
};

/// Bytes of row stores: read from their source at a moment between the call and the next release.
struct RowSource {
  std::vector<std::byte> bytes;
  std::function<void(std::byte* to)> read;  ///< empty once read

  void read_now() {
    if (read) {
      read(bytes.data());
      read = nullptr;
    }
  }
};

class WeakMemory {
 public:
  WeakMemory(TestHeaps& heaps, std::uint64_t seed, const WeakMemoryOptions& options = {});

  /// A new warp of `rank`, alive after everything that was retired on that rank until now.
  int add_warp(int rank, std::string name);
  /// The operation of the warp was finished by its rank's caller, who sees what it left at home.
  void retire(int warp);
  /// The warp acts in its rank's caller's name: it goes on after what was retired, and warps that
  /// come to life later go on after it.
  void rejoin(int warp);

  void store_word(int warp, protocol::Word* to, protocol::Word value);
  void store_release(int warp, protocol::Word* to, protocol::Word value);
  void add_release(int warp, protocol::Word* to, protocol::Word value);
  /// `bytes` bytes of `source`, from `offset`.
  void store_row(int warp,
                 std::byte* to,
                 std::size_t bytes,
                 std::shared_ptr<RowSource> source,
                 std::size_t offset);
  /// Call before reading memory in the name of `warp`.
  void settle(int warp, const void* from, std::size_t bytes);
  /// What the word's release published is ordered before what the warp does from now on.
  void acquire(int warp, const protocol::Word* word);
  /// Plain accesses to rows of a heap; throw ModelViolation when nothing orders them.
  void note_read(int warp, const void* from, std::size_t bytes);
  void note_write(int warp, const void* to, std::size_t bytes);
  /// The warp takes the lock of its rank's arena: what those before it did is ordered before it.
  void take_arena_lock(int warp);
  /// Words that are used anew, by whoever got their memory.
  void forget_words(const void* begin, std::size_t bytes);

  /// Publishes one store of `rank`, picked by chance; false when none is held back.
  bool publish_one(int rank);
  void publish_all();
  [[nodiscard]] std::size_t num_held_back(int rank) const;

  [[nodiscard]] bool coin() { return random_() % 2 == 0; }
  [[nodiscard]] TestHeaps& heaps() { return heaps_; }

  void trace(int warp, const char* what, const void* at, std::uint64_t value);
  /// The last `count` operations, one a line.
  [[nodiscard]] std::string trace_text(std::size_t count) const;
  /// Operations of `warp` that others can notice.
  [[nodiscard]] std::uint64_t num_effects(int warp) const {
    return warps_[static_cast<std::size_t>(warp)].num_effects;
  }
  void count_effect(int warp) { ++warps_[static_cast<std::size_t>(warp)].num_effects; }

 private:
  enum class Kind : std::uint8_t { kRow, kWord, kRelease, kAddRelease };

  struct Store {
    Kind kind = Kind::kWord;
    int warp = 0;
    std::uint64_t time = 0;
    std::uint64_t joined = 0;  ///< of the warp, at the store
    Knowledge known;           ///< of the warp, at the store
    std::byte* to = nullptr;
    std::size_t bytes = sizeof(protocol::Word);
    protocol::Word value = 0;
    std::shared_ptr<RowSource> source;
    std::size_t source_offset = 0;

    [[nodiscard]] bool is_release() const {
      return kind == Kind::kRelease || kind == Kind::kAddRelease;
    }
  };

  struct WarpState {
    int rank = 0;
    std::string name;
    std::uint64_t joined = 0;  ///< what was retired before is carried by the warp's releases
    std::uint64_t retired = std::numeric_limits<std::uint64_t>::max();
    bool is_caller = false;  ///< acts in its rank's caller's name: retired at every moment
    std::uint64_t num_effects = 0;
  };

  struct Event {
    int warp;
    const char* what;
    const void* at;
    std::uint64_t value;
  };

  using Stores = std::vector<Store>;

  [[nodiscard]] WarpState& state(int warp) { return warps_[static_cast<std::size_t>(warp)]; }
  [[nodiscard]] Stores& held_back(int warp) {
    return held_back_[static_cast<std::size_t>(state(warp).rank)];
  }
  void hold_back(Store store);
  void read_late_sources(int warp);
  [[nodiscard]] bool precedes(const Store& earlier, const Store& later) const;
  [[nodiscard]] bool must_precede(const Store& earlier, const Store& later) const;
  [[nodiscard]] std::size_t first_needed(const Stores& stores, std::size_t index) const;
  void publish(Stores& stores, std::size_t index);
  void publish_with_needed(Stores& stores, std::uint64_t time);
  [[nodiscard]] Knowledge knowledge(int warp) const {
    return happens_before_.at(warp, static_cast<std::uint32_t>(time_));
  }
  void require_no_race(const HappensBefore::Race& race, int warp, const char* what) const;

  TestHeaps& heaps_;
  WeakMemoryOptions options_;
  std::mt19937_64 random_;
  std::uint64_t time_ = 0;
  std::vector<WarpState> warps_;
  std::vector<Stores> held_back_;  // by rank, in order of time
  std::vector<Event> events_;
  HappensBefore happens_before_;
  std::vector<int> callers_;  // by rank; -1: none
};

}  // namespace switchyard::test
