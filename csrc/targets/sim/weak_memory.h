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
#include "csrc/targets/sim/clock.h"
#include "csrc/targets/sim/happens_before.h"
#include "csrc/targets/sim/heaps.h"
#include "csrc/targets/sim/site.h"

namespace switchyard::sim {

/// What a store carries: a mailbox word, metadata of rows or the route of a packet, data (a row,
/// scales, weights), or the note of a sum between nodes.
enum class StoredAs : std::uint8_t { kWord, kMetadata, kRow, kNote };

/// What happens to one store on its way into another rank's memory, by the hand of a fault.
class StoreFaults {
 public:
  StoreFaults() = default;
  StoreFaults(const StoreFaults&) = delete;
  StoreFaults& operator=(const StoreFaults&) = delete;
  virtual ~StoreFaults() = default;

  /// May change the bytes of rank `writer` that became visible at `to`, in a heap. True when it
  /// did.
  virtual bool on_visible(int writer, std::byte* to, std::size_t bytes, StoredAs stored_as) = 0;
};

/// Decides at a read whether a store that may be visible by now is: how an exploration, instead of
/// chance, drives the memory. Stores that nobody asks for stay held back.
class VisibilityChooser {
 public:
  VisibilityChooser() = default;
  VisibilityChooser(const VisibilityChooser&) = delete;
  VisibilityChooser& operator=(const VisibilityChooser&) = delete;
  virtual ~VisibilityChooser() = default;

  virtual bool is_visible() = 0;
};

struct WeakMemoryOptions {
  // Ways to break the model, to show that tests notice.
  bool rows_pass_releases = false;
  bool acquires_teach_nothing = false;
  std::string weakened_site;  ///< this call ("FILE.h:LINE") orders nothing
  // Ways to drive and to watch it.
  bool in_order = false;     ///< stores of a rank become visible in the order they were made
  SiteLog* sites = nullptr;  ///< counts the ordered operations by the place they are called from
  StoreFaults* faults = nullptr;
  VisibilityChooser* chooser = nullptr;
  const Clock* clock = nullptr;  ///< of the trace; null: every moment is 0
};

/// Bytes of row stores: read from their source at a moment between the call and the next release.
struct RowSource {
  StoredAs stored_as = StoredAs::kRow;
  std::vector<std::byte> bytes;
  std::function<void(std::byte* to)> read;  ///< empty once read

  void read_now() {
    if (read) {
      read(bytes.data());
      read = nullptr;
    }
  }
};

/// One line of the trace.
struct MemoryEvent {
  int warp;
  const char* what;
  const void* at;
  std::uint64_t value;
  std::uint64_t at_ns;
};

class WeakMemory {
 public:
  WeakMemory(Heaps& heaps, std::uint64_t seed, const WeakMemoryOptions& options = {});

  /// A new warp of `rank`, alive after everything that was retired on that rank until now.
  int add_warp(int rank, std::string name);
  /// The operation of the warp was finished by its rank's caller, who sees what it left at home.
  void retire(int warp);
  /// The warp acts in its rank's caller's name: it goes on after what was retired, and warps that
  /// come to life later go on after it.
  void rejoin(int warp);

  void store_word(int warp, protocol::Word* to, protocol::Word value);
  void store_release(int warp, protocol::Word* to, protocol::Word value, const Site& site);
  void add_release(int warp, protocol::Word* to, protocol::Word value, const Site& site);
  /// `bytes` bytes of `source`, from `offset`.
  void store_row(int warp,
                 std::byte* to,
                 std::size_t bytes,
                 std::shared_ptr<RowSource> source,
                 std::size_t offset);
  /// Call before reading memory in the name of `warp`.
  void settle(int warp, const void* from, std::size_t bytes);
  /// What the word's release published is ordered before what the warp does from now on.
  void acquire(int warp, const protocol::Word* word, const Site& site);
  /// Plain accesses to rows of a heap; throw ModelViolation when nothing orders them.
  void note_read(int warp, const void* from, std::size_t bytes);
  void note_write(int warp, const void* to, std::size_t bytes);
  /// The warp takes the lock of its rank's arena: what those before it did is ordered before it.
  void take_arena_lock(int warp);
  /// Whether `warp` knows, through acquires, what `other` did until a moment; a moment, and one
  /// later than all before.
  [[nodiscard]] bool knows(int warp, int other, std::uint64_t moment) const {
    return knowledge(warp).has(other, static_cast<std::uint32_t>(moment));
  }
  std::uint64_t next_moment() { return ++time_; }
  /// What the warp knows now, and has done.
  Knowledge moment(int warp) {
    ++time_;
    return knowledge(warp);
  }
  /// What came from another node, sent by `warp` when it knew `known`: visible at once.
  void arrive_row(int warp,
                  const Knowledge& known,
                  std::byte* to,
                  const std::vector<std::byte>& bytes);
  void arrive_signal(int warp, const Knowledge& known, protocol::Word* to, protocol::Word value);
  /// The warp has completed its rows so far: it reads their sources no more.
  void read_late_sources(int warp);
  /// Words that are used anew, by whoever got their memory.
  void forget_words(const void* begin, std::size_t bytes);

  /// Publishes one store of `rank`, picked by chance; false when none is held back.
  bool publish_one(int rank);
  void publish_all();
  [[nodiscard]] std::size_t num_held_back(int rank) const;
  /// The rank is gone, and with it what was still on its way.
  void drop_held_back(int rank) { held_back_[static_cast<std::size_t>(rank)].clear(); }

  [[nodiscard]] bool coin() { return !is_explored() && random_() % 2 == 0; }
  [[nodiscard]] bool is_explored() const { return options_.chooser != nullptr; }
  /// Throws unless the place may be accessed.
  void check_access(const void* at, std::size_t bytes, const char* what) const;
  [[nodiscard]] Heaps& heaps() { return heaps_; }
  [[nodiscard]] const Heaps& heaps() const { return heaps_; }

  void trace(int warp, const char* what, const void* at, std::uint64_t value);
  /// The last `count` operations, one a line.
  [[nodiscard]] std::string trace_text(std::size_t count) const;
  [[nodiscard]] const std::vector<MemoryEvent>& events() const { return events_; }
  [[nodiscard]] int num_warps() const { return static_cast<int>(warps_.size()); }
  [[nodiscard]] const std::string& warp_name(int warp) const {
    return warps_[static_cast<std::size_t>(warp)].name;
  }
  [[nodiscard]] int warp_rank(int warp) const {
    return warps_[static_cast<std::size_t>(warp)].rank;
  }
  /// Which stores are still held back, as one number: equal when the same stores are.
  [[nodiscard]] std::uint64_t held_back_digest() const;
  /// Operations of `warp` that others can notice.
  [[nodiscard]] std::uint64_t num_effects(int warp) const {
    return warps_[static_cast<std::size_t>(warp)].num_effects;
  }
  void count_effect(int warp) { ++warps_[static_cast<std::size_t>(warp)].num_effects; }

 private:
  enum class Kind : std::uint8_t { kRow, kWord, kAdd, kRelease, kAddRelease };

  struct Store {
    Kind kind = Kind::kWord;
    int warp = 0;
    std::uint64_t time = 0;
    std::uint64_t number = 0;  ///< of this warp's stores
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

  using Stores = std::vector<Store>;

  [[nodiscard]] WarpState& state(int warp) { return warps_[static_cast<std::size_t>(warp)]; }
  [[nodiscard]] Stores& held_back(int warp) {
    return held_back_[static_cast<std::size_t>(state(warp).rank)];
  }
  [[nodiscard]] bool is_weakened(const Site& site) const;
  void choose_visible(Stores& stores, const void* from, std::size_t bytes);
  void put(const Store& store);
  void hold_back(Store store);
  [[nodiscard]] bool precedes(const Store& earlier, const Store& later) const;
  [[nodiscard]] bool must_precede(const Store& earlier, const Store& later) const;
  [[nodiscard]] std::size_t first_needed(const Stores& stores, std::size_t index) const;
  void publish(Stores& stores, std::size_t index);
  void publish_with_needed(Stores& stores, std::uint64_t time);
  [[nodiscard]] Knowledge knowledge(int warp) const {
    return happens_before_.at(warp, static_cast<std::uint32_t>(time_));
  }
  void require_no_race(const HappensBefore::Race& race, int warp, const char* what) const;

  Heaps& heaps_;
  WeakMemoryOptions options_;
  std::mt19937_64 random_;
  std::uint64_t time_ = 0;
  std::vector<WarpState> warps_;
  std::vector<Stores> held_back_;  // by rank, in order of time
  std::vector<MemoryEvent> events_;
  HappensBefore happens_before_;
  std::vector<int> callers_;  // by rank; -1: none
};

}  // namespace switchyard::sim
