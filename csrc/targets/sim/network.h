// A modelled network between ranks that cannot load and store each other's memory: messages arrive
// late and in any order, may be lost or arrive twice. One promise is kept, that of every transport:
// a signal takes effect only after every earlier put of its track to that peer has arrived.
//
// On the receiving side a proxy counts what has arrived of each track. It holds back a signal until
// the puts before it are there, and drops what it has had. A message that is lost therefore stops
// its track for good, and whoever waits for it meets a deadline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "csrc/targets/sim/weak_memory.h"

namespace switchyard::sim {

struct NetworkOptions {
  std::size_t max_messages = 0;  ///< of one rank under way; 0: any number
  double lose = 0;               ///< probability, for each message
  double duplicate = 0;          ///< probability, for each message
  // Ways to break the promise, to show that tests notice.
  double signals_pass_puts = 0;  ///< probability, for each signal
  double takes_duplicates = 0;   ///< probability, for each message that comes again
};

/// One ordered stream from a rank to another.
struct Track {
  int from = 0;
  int to = 0;
  int index = 0;
  auto operator<=>(const Track&) const = default;
};

class Network {
 public:
  Network(WeakMemory& memory, std::uint64_t seed, const NetworkOptions& options = {});

  /// Copies `bytes` bytes of `warp`'s rank to `remote`. They are read at a moment between the call
  /// and the arrival, so they stay unchanged until a signal behind them was answered.
  void put(
      int warp, const Track& track, std::byte* remote, const std::byte* local, std::size_t bytes);
  /// Writes a counter of the peer, after every earlier put of the track.
  /// Ordering: a release of what the warp put or stored before
  void signal(int warp, const Track& track, protocol::Word* counter, protocol::Word value);

  /// Whether `rank` has as many messages under way as the way to the network holds.
  [[nodiscard]] bool is_full(int rank) const;

  /// One message, picked by chance, arrives or is lost; false when none is on its way.
  bool deliver_one();

  [[nodiscard]] std::uint64_t num_lost() const { return num_lost_; }
  [[nodiscard]] std::uint64_t num_duplicated() const { return num_duplicated_; }

 private:
  struct Message {
    Track track;
    std::uint64_t number = 0;  ///< of its track
    int warp = 0;
    Knowledge known;
    std::byte* to = nullptr;
    std::shared_ptr<RowSource> source;  ///< null: a signal
    protocol::Word value = 0;
  };
  /// What has arrived of a track.
  struct Arrivals {
    std::uint64_t next = 0;                      ///< all before have arrived and taken effect
    std::set<std::uint64_t> early;               ///< puts that came before their turn
    std::map<std::uint64_t, Message> held_back;  ///< signals that came before their turn
  };

  [[nodiscard]] bool happens(double probability);
  void send(Message message);
  void arrive(const Message& message);
  void take_effect(const Message& message);

  WeakMemory& memory_;
  NetworkOptions options_;
  std::mt19937_64 random_;
  std::vector<Message> on_their_way_;
  std::map<Track, std::uint64_t> sent_;
  std::map<Track, Arrivals> arrivals_;
  std::uint64_t num_lost_ = 0;
  std::uint64_t num_duplicated_ = 0;
};

}  // namespace switchyard::sim
