#include "csrc/targets/sim/weak_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace switchyard::sim {
namespace {

bool overlap(const std::byte* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto* b_begin = static_cast<const std::byte*>(b);
  return a < b_begin + b_bytes && b_begin < a + a_bytes;
}

std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 31U)) * 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 29U)) * 0xbf58476d1ce4e5b9U;
  return value ^ (value >> 32U);
}

}  // namespace

WeakMemory::WeakMemory(Heaps& heaps, std::uint64_t seed, const WeakMemoryOptions& options)
    : heaps_(heaps),
      options_(options),
      random_(seed),
      held_back_(heaps.control().num_ranks),
      callers_(heaps.control().num_ranks, -1) {}

int WeakMemory::add_warp(int rank, std::string name) {
  WarpState warp;
  warp.rank = rank;
  warp.name = std::move(name);
  warp.joined = ++time_;
  warps_.push_back(std::move(warp));
  happens_before_.add_warp();
  const auto id = static_cast<int>(warps_.size()) - 1;
  const int caller = callers_[static_cast<std::size_t>(rank)];
  if (caller >= 0) {
    happens_before_.join(id, knowledge(caller));
  }
  return id;
}

void WeakMemory::retire(int warp) {
  read_late_sources(warp);
  state(warp).retired = ++time_;
  const int caller = callers_[static_cast<std::size_t>(state(warp).rank)];
  if (caller >= 0) {
    happens_before_.join(caller, knowledge(warp));
  }
  Stores& stores = held_back(warp);
  const protocol::Peers peers = heaps_.peers(state(warp).rank);
  std::vector<std::uint64_t> at_home;
  for (const Store& store : stores) {
    const int owner = peers.rank_of(store.to);
    if (store.warp == warp && (owner < 0 || owner == peers.rank)) {
      at_home.push_back(store.time);
    }
  }
  for (const std::uint64_t time : at_home) {
    publish_with_needed(stores, time);
  }
}

void WeakMemory::rejoin(int warp) {
  state(warp).is_caller = true;
  callers_[static_cast<std::size_t>(state(warp).rank)] = warp;
  state(warp).joined = ++time_;
}

void WeakMemory::store_word(int warp, protocol::Word* to, protocol::Word value) {
  Store store;
  store.warp = warp;
  store.to = reinterpret_cast<std::byte*>(to);
  store.value = value;
  trace(warp, "store", to, value);
  hold_back(std::move(store));
}

void WeakMemory::store_release(int warp,
                               protocol::Word* to,
                               protocol::Word value,
                               const Site& site) {
  if (is_weakened(site)) {
    store_word(warp, to, value);
    return;
  }
  read_late_sources(warp);
  Store store;
  store.kind = Kind::kRelease;
  store.warp = warp;
  store.to = reinterpret_cast<std::byte*>(to);
  store.value = value;
  trace(warp, "release", to, value);
  hold_back(std::move(store));
}

void WeakMemory::add_release(int warp, protocol::Word* to, protocol::Word value, const Site& site) {
  const bool weakened = is_weakened(site);
  if (!weakened) {
    read_late_sources(warp);
  }
  Store store;
  store.kind = weakened ? Kind::kAdd : Kind::kAddRelease;
  store.warp = warp;
  store.to = reinterpret_cast<std::byte*>(to);
  store.value = value;
  trace(warp, weakened ? "add" : "add release", to, value);
  hold_back(std::move(store));
}

void WeakMemory::store_row(int warp,
                           std::byte* to,
                           std::size_t bytes,
                           std::shared_ptr<RowSource> source,
                           std::size_t offset) {
  if (bytes == 0) {
    return;
  }
  Store store;
  store.kind = Kind::kRow;
  store.warp = warp;
  store.to = to;
  store.bytes = bytes;
  store.source = std::move(source);
  store.source_offset = offset;
  trace(warp, "row", to, bytes);
  hold_back(std::move(store));
}

void WeakMemory::settle(int warp, const void* from, std::size_t bytes) {
  Store reader;
  reader.warp = warp;
  reader.time = ++time_;
  reader.joined = state(warp).joined;
  Stores& stores = held_back(warp);
  for (std::size_t i = 0; i < stores.size();) {
    const Store& store = stores[i];
    if (overlap(store.to, store.bytes, from, bytes) && precedes(store, reader)) {
      publish_with_needed(stores, store.time);
      i = 0;
    } else {
      ++i;
    }
  }
  if (options_.chooser != nullptr) {
    for (Stores& each : held_back_) {
      choose_visible(each, from, bytes);
    }
  }
}

/// Asks the chooser for every store to this place, oldest first, until one is not visible.
void WeakMemory::choose_visible(Stores& stores, const void* from, std::size_t bytes) {
  for (std::size_t i = 0; i < stores.size();) {
    const Store& store = stores[i];
    if (!overlap(store.to, store.bytes, from, bytes)) {
      ++i;
      continue;
    }
    if (!options_.chooser->is_visible()) {
      return;
    }
    publish_with_needed(stores, store.time);
    i = 0;
  }
}

void WeakMemory::check_access(const void* at, std::size_t bytes, const char* what) const {
  heaps_.check_access(at, bytes, what);
}

bool WeakMemory::is_weakened(const Site& site) const {
  if (options_.sites != nullptr) {
    options_.sites->count(site);
  }
  return !options_.weakened_site.empty() && site.name() == options_.weakened_site;
}

void WeakMemory::acquire(int warp, const protocol::Word* word, const Site& site) {
  if (!is_weakened(site) && !options_.acquires_teach_nothing) {
    happens_before_.acquire(warp, word);
  }
}

void WeakMemory::note_read(int warp, const void* from, std::size_t bytes) {
  if (heaps_.rank_of(from) >= 0) {
    ++time_;
    require_no_race(happens_before_.read(knowledge(warp), from, bytes), warp, "reads");
  }
}

void WeakMemory::note_write(int warp, const void* to, std::size_t bytes) {
  if (heaps_.rank_of(to) >= 0) {
    ++time_;
    require_no_race(happens_before_.write(knowledge(warp), to, bytes), warp, "writes");
  }
}

void WeakMemory::take_arena_lock(int warp) {
  const void* lock = &held_back(warp);  // any address that is one rank's own
  happens_before_.acquire(warp, lock);
  ++time_;
  happens_before_.release(lock, knowledge(warp), false);
}

void WeakMemory::forget_words(const void* begin, std::size_t bytes) {
  const auto* word = static_cast<const protocol::Word*>(begin);
  for (std::size_t i = 0; i < bytes / sizeof(protocol::Word); ++i) {
    happens_before_.forget(word + i);
  }
}

void WeakMemory::require_no_race(const HappensBefore::Race& race,
                                 int warp,
                                 const char* what) const {
  if (race.warp >= 0) {
    throw ModelViolation(fmt::format("race: {} {} {}, and nothing orders that after the {} by {}",
                                     warps_[static_cast<std::size_t>(warp)].name,
                                     what,
                                     heaps_.name(race.at),
                                     race.was_write ? "write" : "read",
                                     warps_[static_cast<std::size_t>(race.warp)].name));
  }
}

bool WeakMemory::publish_one(int rank) {
  Stores& stores = held_back_[static_cast<std::size_t>(rank)];
  if (stores.empty()) {
    return false;
  }
  publish(stores, options_.in_order ? 0 : first_needed(stores, random_() % stores.size()));
  return true;
}

void WeakMemory::publish_all() {
  for (std::size_t rank = 0; rank < held_back_.size(); ++rank) {
    while (publish_one(static_cast<int>(rank))) {
    }
  }
}

std::size_t WeakMemory::num_held_back(int rank) const {
  return held_back_[static_cast<std::size_t>(rank)].size();
}

void WeakMemory::trace(int warp, const char* what, const void* at, std::uint64_t value) {
  events_.push_back(
      {warp, what, at, value, options_.clock == nullptr ? 0 : options_.clock->now_ns()});
}

std::uint64_t WeakMemory::held_back_digest() const {
  std::uint64_t digest = 0;
  for (const Stores& stores : held_back_) {
    for (const Store& store : stores) {
      digest += mix(static_cast<std::uint64_t>(store.warp) << 32U | store.number);
    }
  }
  return digest;
}

std::string WeakMemory::trace_text(std::size_t count) const {
  std::string text;
  for (std::size_t i = events_.size() - std::min(count, events_.size()); i < events_.size(); ++i) {
    const MemoryEvent& event = events_[i];
    text += fmt::format("{:6} {:9.3f} us {}: {} {} <- {:#x}\n",
                        i,
                        static_cast<double>(event.at_ns) * 1e-3,
                        warps_[static_cast<std::size_t>(event.warp)].name,
                        event.what,
                        heaps_.name(event.at),
                        event.value);
  }
  return text;
}

void WeakMemory::hold_back(Store store) {
  store.time = ++time_;
  store.number = num_effects(store.warp);
  store.joined = state(store.warp).joined;
  store.known = knowledge(store.warp);
  count_effect(store.warp);
  held_back(store.warp).push_back(std::move(store));
}

/// A release waits for the row operations before it, and so for their reads.
void WeakMemory::read_late_sources(int warp) {
  for (const Store& store : held_back(warp)) {
    if (store.warp == warp && store.source != nullptr) {
      store.source->read_now();
    }
  }
}

/// Both are of one rank.
bool WeakMemory::precedes(const Store& earlier, const Store& later) const {
  if (earlier.time >= later.time) {
    return false;
  }
  const WarpState& warp = warps_[static_cast<std::size_t>(earlier.warp)];
  const std::uint64_t retired = warp.is_caller ? earlier.time : warp.retired;
  return earlier.warp == later.warp || retired < later.joined;
}

bool WeakMemory::must_precede(const Store& earlier, const Store& later) const {
  if (!precedes(earlier, later)) {
    return false;
  }
  const bool passes = options_.rows_pass_releases && earlier.kind == Kind::kRow;
  const bool carried = later.is_release() && !passes;
  return carried || overlap(earlier.to, earlier.bytes, later.to, later.bytes);
}

/// The store itself, or one that must be published before it and waits for none.
std::size_t WeakMemory::first_needed(const Stores& stores, std::size_t index) const {
  for (std::size_t i = 0; i < index; ++i) {
    if (must_precede(stores[i], stores[index])) {
      return first_needed(stores, i);
    }
  }
  return index;
}

void WeakMemory::publish(Stores& stores, std::size_t index) {
  const Store store = std::move(stores[index]);
  stores.erase(stores.begin() + static_cast<std::ptrdiff_t>(index));
  check_access(store.to, store.bytes, "write");
  trace(store.warp, "  now visible:", store.to, store.value);
  put(store);
  const StoredAs stored_as = store.source == nullptr ? StoredAs::kWord : store.source->stored_as;
  if (options_.faults != nullptr && heaps_.rank_of(store.to) >= 0 &&
      options_.faults->on_visible(warp_rank(store.warp), store.to, store.bytes, stored_as)) {
    trace(store.warp, "  damaged:", store.to, store.value);
  }
}

void WeakMemory::arrive_row(int warp,
                            const Knowledge& known,
                            std::byte* to,
                            const std::vector<std::byte>& bytes) {
  check_access(to, bytes.size(), "write");
  require_no_race(happens_before_.write(known, to, bytes.size()), warp, "puts to");
  trace(warp, "  arrived:", to, bytes.size());
  std::memcpy(to, bytes.data(), bytes.size());
}

void WeakMemory::arrive_signal(int warp,
                               const Knowledge& known,
                               protocol::Word* to,
                               protocol::Word value) {
  trace(warp, "  signalled:", to, value);
  *to = value;
  happens_before_.release(to, known, true);
}

void WeakMemory::put(const Store& store) {
  if (store.kind == Kind::kRow) {
    if (heaps_.rank_of(store.to) >= 0) {
      require_no_race(
          happens_before_.write(store.known, store.to, store.bytes), store.warp, "writes");
    }
    store.source->read_now();
    std::memcpy(store.to, store.source->bytes.data() + store.source_offset, store.bytes);
    return;
  }
  const bool adds = store.kind == Kind::kAddRelease || store.kind == Kind::kAdd;
  auto* word = reinterpret_cast<protocol::Word*>(store.to);
  *word = adds ? *word + store.value : store.value;
  if (store.is_release()) {
    happens_before_.release(word, store.known, adds);
  } else if (!adds) {
    happens_before_.forget(word);
  }
}

void WeakMemory::publish_with_needed(Stores& stores, std::uint64_t time) {
  const auto find = [&] {
    const auto at = std::find_if(
        stores.begin(), stores.end(), [&](const Store& store) { return store.time == time; });
    return static_cast<std::size_t>(at - stores.begin());
  };
  for (std::size_t index = find(); index < stores.size(); index = find()) {
    publish(stores, first_needed(stores, index));
  }
}

}  // namespace switchyard::sim
