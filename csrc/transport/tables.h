// What every backend keeps: its regions, the peers' regions that it may write into, its tracks; and
// the checks that all of them make of what callers ask for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "csrc/transport/transport.h"

namespace switchyard::transport {

// What the checks throw; out of line, so that the checks themselves stay small.
[[noreturn]] void throw_unknown_index(const char* what, int idx, std::size_t num);
[[noreturn]] void throw_in_use(const char* what, int idx, int num_tracks);
[[noreturn]] void throw_under_way(int track, int peer);
[[noreturn]] void throw_outside(const char* what,
                                std::uint64_t offset,
                                std::uint64_t bytes,
                                std::uint64_t region_bytes);
[[noreturn]] void throw_unaligned_counter(std::uint64_t offset);

/// Throws InvalidArgument unless [offset, offset + bytes) lies in a region of `region_bytes`.
inline void check_range(const char* what,
                        std::uint64_t offset,
                        std::uint64_t bytes,
                        std::uint64_t region_bytes) {
  // Without a sum that could wrap.
  if (bytes > region_bytes || offset > region_bytes - bytes) {
    throw_outside(what, offset, bytes, region_bytes);
  }
}

/// Throws InvalidArgument unless 0 <= peer < num_ranks.
void check_peer(int peer, int num_ranks);

/// Throws InvalidArgument unless the attached region of a track belongs to its peer.
void check_owner(const TrackRequest& request, int owner);

/// Throws InvalidArgument for no memory.
void check_memory(std::span<const std::byte> memory);

/// Things with indices that stay, each used by a number of tracks. An index is used again only
/// after its thing was removed.
template <class T>
class Slots {
 public:
  explicit Slots(const char* what) : what_(what) {}

  int add(T thing) {
    for (std::size_t idx = 0; idx < slots_.size(); ++idx) {
      if (!slots_[idx].thing) {
        slots_[idx].thing.emplace(std::move(thing));
        return static_cast<int>(idx);
      }
    }
    slots_.push_back({std::move(thing)});
    return static_cast<int>(slots_.size()) - 1;
  }

  [[nodiscard]] T& at(int idx) { return *slot(*this, idx).thing; }
  [[nodiscard]] const T& at(int idx) const { return *slot(*this, idx).thing; }

  void add_user(int idx) { ++slot(*this, idx).num_users; }
  void remove_user(int idx) { --slot(*this, idx).num_users; }

  /// Throws InvalidState while a track uses it.
  void check_unused(int idx) const {
    if (const int num_users = slot(*this, idx).num_users; num_users != 0) {
      throw_in_use(what_, idx, num_users);
    }
  }
  void remove(int idx) {
    check_unused(idx);
    slot(*this, idx).thing.reset();
  }

  template <class Visit>
  void for_each(const Visit& visit) {
    for (Slot& slot : slots_) {
      if (slot.thing) {
        visit(*slot.thing);
      }
    }
  }

 private:
  struct Slot {
    std::optional<T> thing;
    int num_users = 0;
  };

  template <class Self>
  static auto& slot(Self& self, int idx) {
    const auto position = static_cast<std::size_t>(idx);  // a negative one becomes huge
    if (position >= self.slots_.size() || !self.slots_[position].thing) {
      throw_unknown_index(self.what_, idx, self.slots_.size());
    }
    return self.slots_[position];
  }

  const char* what_;
  std::vector<Slot> slots_;
};

/// What a track needs to check and address a posting. A backend's own track derives from it.
struct TrackEnds {
  TrackRequest request;
  std::byte* local_base = nullptr;
  std::uint64_t local_bytes = 0;
  std::uint64_t remote_base = 0;  ///< an address in the peer's process
  std::uint64_t remote_bytes = 0;

  void set(const TrackRequest& wanted,
           std::span<std::byte> local,
           std::uint64_t remote_region,
           std::uint64_t remote_region_bytes) {
    request = wanted;
    local_base = local.data();
    local_bytes = local.size();
    remote_base = remote_region;
    remote_bytes = remote_region_bytes;
  }

  void check(const Put& put) const {
    check_range("source of the put", put.local_offset, put.bytes, local_bytes);
    check_range("target of the put", put.remote_offset, put.bytes, remote_bytes);
  }
  void check(const Signal& signal) const {
    check_range(
        "counter of the signal", signal.counter_offset, sizeof(std::uint64_t), remote_bytes);
    if ((remote_base + signal.counter_offset) % sizeof(std::uint64_t) != 0) {
      throw_unaligned_counter(signal.counter_offset);
    }
  }
};

}  // namespace switchyard::transport
