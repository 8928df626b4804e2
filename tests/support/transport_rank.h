// One rank of a transport under test: its end, one region, and the same of every peer attached.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "csrc/transport/transport.h"
#include "switchyard/bootstrap.h"

namespace switchyard::test {

using MakeTransport = std::function<std::unique_ptr<transport::Transport>(Bootstrap&)>;

/// Generous: it decides only how long a test that fails takes.
inline constexpr std::chrono::seconds kTransportPatience{60};

class TransportRank {
 public:
  /// Collective. The region reads as zero.
  TransportRank(Bootstrap& bootstrap, const MakeTransport& make, std::uint64_t region_bytes);

  [[nodiscard]] transport::Transport& end() { return *end_; }
  [[nodiscard]] Bootstrap& bootstrap() { return bootstrap_; }
  [[nodiscard]] int rank() const { return bootstrap_.rank(); }
  [[nodiscard]] std::byte* memory() { return reinterpret_cast<std::byte*>(words_.data()); }
  [[nodiscard]] std::span<std::byte> region() { return std::as_writable_bytes(std::span(words_)); }
  [[nodiscard]] int region_idx() const { return region_idx_; }
  [[nodiscard]] int attached(int peer) const { return attached_[static_cast<std::size_t>(peer)]; }

  /// A new track from this rank's region to that of `peer`.
  int open_track(int peer);
  /// Posts, polling while there is no room; throws PeerLost.
  void put(int track, int peer, const transport::Put& put);
  void signal(int track, int peer, const transport::Signal& signal);

  /// The counter at `offset` of this rank's region, as a role would load it.
  [[nodiscard]] std::uint64_t load(std::uint64_t offset);
  /// Polls until `condition` holds; throws when it takes too long.
  void poll_until(const std::function<bool()>& condition);
  void wait_for(std::uint64_t counter_offset, std::uint64_t value);

  /// Collective, for ranks that have left, too: everything has arrived everywhere. The end may be
  /// destroyed after it.
  void meet();
  /// Ends this rank for its peers, at once.
  void leave() { end_.reset(); }

 private:
  Bootstrap& bootstrap_;
  std::vector<std::uint64_t> words_;
  std::unique_ptr<transport::Transport> end_;
  int region_idx_ = -1;
  std::vector<int> attached_;  // by peer
};

/// Fills with bytes that tell source, position and `seed`; and says whether they are still so.
void fill_pattern(std::span<std::byte> bytes, std::uint64_t seed);
bool has_pattern(std::span<const std::byte> bytes, std::uint64_t seed);

}  // namespace switchyard::test
