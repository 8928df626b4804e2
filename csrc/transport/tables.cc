#include "csrc/transport/tables.h"

#include <fmt/format.h>

#include "switchyard/error.h"

namespace switchyard::transport {

void throw_unknown_index(const char* what, int idx, std::size_t num) {
  throw InvalidArgument(fmt::format(
      "{} {}: there is none of that number, wanted one of the {} handed out and not given back",
      what,
      idx,
      num));
}

void throw_in_use(const char* what, int idx, int num_tracks) {
  throw InvalidState(fmt::format(
      "{} {}: {} open tracks use it, wanted none; close them first", what, idx, num_tracks));
}

void throw_under_way(int track, int peer) {
  throw InvalidState(
      fmt::format("track {}: postings to rank {} are under way, wanted none; poll until is_quiet()",
                  track,
                  peer));
}

void throw_outside(const char* what,
                   std::uint64_t offset,
                   std::uint64_t bytes,
                   std::uint64_t region_bytes) {
  throw InvalidArgument(
      fmt::format("{}: {} bytes at offset {}, wanted a range inside its region of "
                  "{} bytes",
                  what,
                  bytes,
                  offset,
                  region_bytes));
}

void throw_unaligned_counter(std::uint64_t offset) {
  throw InvalidArgument(
      fmt::format("counter of the signal: its address (offset {}) is no multiple of 8; it must be "
                  "written by one store",
                  offset));
}

void check_peer(int peer, int num_ranks) {
  if (peer < 0 || peer >= num_ranks) {
    throw InvalidArgument(fmt::format("peer: got {}, wanted a rank below {}", peer, num_ranks));
  }
}

void check_owner(const TrackRequest& request, int owner) {
  if (owner != request.peer) {
    throw InvalidArgument(
        fmt::format("attached region {}: it is rank {}'s, wanted one of the track's "
                    "peer, rank {}",
                    request.attached_idx,
                    owner,
                    request.peer));
  }
}

void check_memory(std::span<const std::byte> memory) {
  if (memory.empty()) {
    throw InvalidArgument("region: got no bytes, wanted at least 1");
  }
}

}  // namespace switchyard::transport
