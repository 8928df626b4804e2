// A small producer and consumer over the modelled network: slots, a tail and a head, as the
// scale-out roles have them. Whatever the network does, the consumer reads what was sent, in order,
// or both stop where a message was lost.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "csrc/targets/sim/network.h"

namespace switchyard::sim {

struct TrackOptions {
  int num_slots = 1;
  NetworkOptions network{};

  /// "lose:0.05,duplicate:0.1". Errors: InvalidArgument naming what is unknown and what there is
  static NetworkOptions parse_network(std::string_view text);
  /// The one line that runs `seed` again.
  [[nodiscard]] std::string command_line(std::uint64_t seed) const;
};

enum class TrackEnd : std::uint8_t {
  kRight,    ///< all chunks, in order
  kStopped,  ///< a message was lost, and nothing wrong was read
  kWrong,
};

struct TrackReport {
  TrackEnd end = TrackEnd::kRight;
  std::string problem;  ///< what went wrong, the last operations, the line to replay it
  std::uint64_t num_steps = 0;
};

TrackReport run_track(const TrackOptions& options, std::uint64_t seed);

}  // namespace switchyard::sim
