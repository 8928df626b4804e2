// Scale-out as the rest of the library sees it: memory of peers that this rank writes into, and one
// promise of order. docs/transports.md has the contract and, for each backend, why it keeps it.
// Which backend carries the bytes is decided in make_transport.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace switchyard::transport {

/// Where a posting ended up. Everything else that can go wrong is the caller's mistake, and thrown.
enum class Posted : std::uint8_t {
  kPosted,    ///< on its way
  kFull,      ///< nothing happened: poll, then try again
  kPeerLost,  ///< nothing happened, and never will: why_lost() says what became of the peer
};

/// A track goes from one region of this rank to one attached region of a peer.
struct TrackRequest {
  int peer = -1;
  int region_idx = -1;    ///< from register_region
  int attached_idx = -1;  ///< from attach_region; belongs to `peer`
};

/// Bytes to copy, by offsets in the two regions of the track.
struct Put {
  std::uint64_t local_offset = 0;
  std::uint64_t remote_offset = 0;
  std::uint64_t bytes = 0;  ///< 0 is allowed and does nothing
};

/// A new value for a 64-bit counter in the peer's region of the track. A counter only grows, and
/// only one track writes it: so a signal may be merged into a later one of the same counter.
struct Signal {
  std::uint64_t counter_offset = 0;  ///< a multiple of 8
  std::uint64_t value = 0;
};

/// One rank's end of the network. Destroying it ends this rank for its peers: those that still
/// send to it lose it, so ranks leave together, after a barrier.
/// Called by:  one thread at a time; the ends of different ranks by different threads
/// Ordering:   a signal is visible at the peer only after every earlier put of its track is. Who
///             loads the counter with acquire sees those puts. Nothing else is ordered: not
///             puts among themselves, not a signal and later puts, not two tracks.
/// Errors:     InvalidArgument naming value and bound for an unknown index or a range outside its
///             region, before anything is sent; InvalidState for an index that is still in use
class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int num_ranks() const = 0;
  /// Backend and what it runs over, for people: "ucx 1.13.1 over tcp".
  [[nodiscard]] virtual std::string describe() const = 0;

  // Set-up. These may allocate, lock and call the system.

  /// Lets peers write into `memory`, and this rank read puts from it.
  /// Lifetime: the memory stays until deregister_region, or until this end is destroyed
  /// Errors:   InvalidArgument for no memory; SystemError when it cannot be pinned
  virtual int register_region(std::span<std::byte> memory) = 0;
  /// What a peer needs to attach the region: bytes to be carried by the bootstrap (region_key.h).
  [[nodiscard]] virtual std::vector<std::byte> region_key(int region_idx) const = 0;
  /// The memory is the caller's again; peers have closed their tracks into it before. A peer that
  /// puts into it all the same loses this rank, unless the backend is ucx, which may let it write.
  /// Errors: InvalidState while a track uses it
  virtual void deregister_region(int region_idx) = 0;

  /// Makes a region of `peer` a target.
  /// Errors: InvalidArgument unless `key` is a whole key of that peer, group and backend
  virtual int attach_region(int peer, std::span<const std::byte> key) = 0;
  /// Errors: InvalidState while a track uses it
  virtual void detach_region(int attached_idx) = 0;

  virtual int open_track(const TrackRequest& request) = 0;
  /// Errors: InvalidState while postings are under way to its peer, and that lives
  virtual void close_track(int track) = 0;

  // The path. No allocation, no lock, no wait.

  /// Lifetime: the bytes at `local_offset` stay as they are until completed_bytes() covers them
  virtual Posted put(int track, const Put& put) = 0;
  virtual Posted signal(int track, const Signal& signal) = 0;

  /// Moves everything on. Some backends receive in it, too: a rank that is only written to polls,
  /// or nothing arrives.
  virtual void poll() = 0;

  /// Of all bytes that the track put, in order, how many may be overwritten at their source.
  [[nodiscard]] virtual std::uint64_t completed_bytes(int track) const = 0;
  /// Bytes put to `peer` and not completed.
  [[nodiscard]] virtual std::uint64_t in_flight_bytes(int peer) const = 0;
  /// Whether everything posted to peers that live, signals too, has been carried out.
  [[nodiscard]] virtual bool is_quiet() const = 0;

  /// What became of `peer`: empty while it is well. Once lost it stays so.
  [[nodiscard]] virtual const std::string& why_lost(int peer) const = 0;
};

/// Throws PeerLost with what became of the peer; the caller has seen Posted::kPeerLost.
[[noreturn]] void throw_peer_lost(const Transport& transport, int peer);

}  // namespace switchyard::transport
