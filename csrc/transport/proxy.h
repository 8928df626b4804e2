// Carries commands from FIFOs to a transport: pops, merges neighbouring puts, keeps to a window of
// bytes for each peer, posts, and writes back what has completed. One thread steps it; its own
// (proxy_thread.h), or a test's. Nothing on its path allocates, locks or waits.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "csrc/transport/command_popper.h"
#include "csrc/transport/peer_queue.h"
#include "csrc/transport/transport.h"

namespace switchyard::transport {

struct ProxyOptions {
  /// Most bytes under way to one peer. Too small: the link runs dry between completions (it needs
  /// bandwidth times round trip, 1 MB at 50 GB/s and 20 us). Too large: networks collapse under
  /// what they cannot buffer (Thor2: from 49 to 4.4 GB/s without a bound, published). A larger put
  /// goes alone.
  std::uint64_t window_bytes = std::uint64_t{4} << 20U;
  /// Neighbouring puts are merged up to this. Too small: more postings than bytes justify; too
  /// large: the window empties in few steps, and the wire with it.
  std::uint64_t max_merged_bytes = std::uint64_t{1} << 20U;
};

/// A track that commands may name, by its position in the proxy's table.
struct ProxyTrack {
  int track = -1;  ///< of the transport
  int peer = -1;
};

/// Where a pusher reads how far its track has come, on a line of its own: bytes of the track's
/// puts, in order, whose source may be overwritten.
struct alignas(64) Completion {
  std::uint64_t bytes = 0;  ///< stored with release; load it with acquire
};

/// Something went wrong for good: with a peer, or (peer -1) with a command.
struct ProxyFault {
  int peer = -1;
  std::string what;
};

/// Counts since the beginning, for tests, tracing and tuning.
struct ProxyCounters {
  std::uint64_t commands = 0;       ///< popped
  std::uint64_t postings = 0;       ///< taken by the transport; fewer, where puts were merged
  std::uint64_t window_stalls = 0;  ///< rounds in which a peer's window was full
  std::uint64_t dropped = 0;        ///< commands to peers that are lost
};

class Proxy {
 public:
  /// What it serves. FIFOs and completions outlive it; the transport is used by its thread alone.
  struct Wiring {
    Transport* transport = nullptr;
    std::vector<CommandFifo> fifos;
    std::vector<ProxyTrack> tracks;     ///< a command's `track` is a position here
    std::span<Completion> completions;  ///< [tracks.size()]
    /// Called on the proxy's thread, once for each peer that is lost, and at the first command that
    /// makes no sense, after which all are dropped.
    std::function<void(const ProxyFault&)> on_fault;
  };

  /// Errors: InvalidArgument for wiring that does not fit together or options out of range
  Proxy(Wiring wiring, const ProxyOptions& options);

  /// One round over all FIFOs and peers. True when something moved.
  bool step();

  /// Whether every command that was pushed has been posted or dropped, and carried out.
  [[nodiscard]] bool is_idle() const;
  [[nodiscard]] const ProxyCounters& counters() const { return counters_; }

 private:
  struct Peer {
    int rank = -1;
    bool is_lost = false;
    PeerQueue queue;
  };

  bool take(CommandPopper& fifo);
  /// What becomes of a command: false when it must wait in its FIFO.
  bool enqueue(const Command& command);
  bool post_to(Peer& peer);
  Posted post(const Command& command);
  bool report_completions();
  void look_for_lost_peers();
  void lose(Peer& peer);
  void refuse(const std::string& what);

  Wiring wiring_;
  ProxyOptions options_;
  ProxyCounters counters_;
  std::vector<CommandPopper> fifos_;
  std::vector<Peer> peers_;               // those that some track goes to
  std::vector<std::size_t> peer_of_;      // by track: position in peers_
  std::vector<std::uint64_t> put_bytes_;  // by track: posted
  std::vector<std::uint64_t> reported_;   // by track: in its Completion
  std::vector<std::uint32_t> active_;     // tracks that put more than was reported
  std::uint64_t num_rounds_ = 0;
  bool refuses_all_ = false;  // after a command that made no sense
};

}  // namespace switchyard::transport
