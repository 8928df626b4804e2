#include "csrc/transport/proxy.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <exception>
#include <utility>

#include "switchyard/error.h"

namespace switchyard::transport {
namespace {

/// Commands taken from one FIFO before the others have their turn, and before its slots are given
/// back: often enough that a pusher with a FIFO of 128 never waits for it.
constexpr int kBatch = 32;
/// A peer that is written to shows its loss at the next posting; this is for those that only
/// receive. One comparison for each peer, every so many rounds.
constexpr std::uint64_t kRoundsPerLook = 256;

void check(const Proxy::Wiring& wiring, const ProxyOptions& options) {
  if (wiring.tracks.size() > kMaxCommandTracks ||
      wiring.completions.size() != wiring.tracks.size()) {
    throw InvalidArgument(
        fmt::format("proxy: got {} tracks and {} completions, wanted as many of each, at most {}",
                    wiring.tracks.size(),
                    wiring.completions.size(),
                    kMaxCommandTracks));
  }
  for (const CommandFifo& fifo : wiring.fifos) {
    if (!std::has_single_bit(fifo.capacity) ||
        reinterpret_cast<std::uintptr_t>(fifo.memory) % CommandFifo::kHeaderBytes != 0) {
      throw InvalidArgument(
          fmt::format("proxy: a FIFO of {} commands at {}, wanted a power of two and 64-byte "
                      "alignment",
                      fifo.capacity,
                      static_cast<const void*>(fifo.memory)));
    }
  }
  if (options.window_bytes == 0) {
    throw InvalidArgument("proxy: window_bytes is 0, wanted at least 1");
  }
}

}  // namespace

Proxy::Proxy(Wiring wiring, const ProxyOptions& options)
    : wiring_(std::move(wiring)), options_(options) {
  check(wiring_, options_);
  for (const CommandFifo& fifo : wiring_.fifos) {
    fifos_.emplace_back(fifo);
  }
  for (const ProxyTrack& track : wiring_.tracks) {
    const auto found = std::find_if(
        peers_.begin(), peers_.end(), [&](const Peer& peer) { return peer.rank == track.peer; });
    peer_of_.push_back(static_cast<std::size_t>(found - peers_.begin()));
    if (found == peers_.end()) {
      peers_.push_back({.rank = track.peer, .queue = {}});
    }
  }
  put_bytes_.resize(wiring_.tracks.size());
  reported_.resize(wiring_.tracks.size());
  active_.reserve(wiring_.tracks.size());
}

bool Proxy::step() {
  bool moved = false;
  for (CommandPopper& fifo : fifos_) {
    moved |= take(fifo);
  }
  for (Peer& peer : peers_) {
    if (!peer.queue.is_empty()) {
      moved |= post_to(peer);
    }
  }
  wiring_.transport->poll();
  moved |= report_completions();
  if (++num_rounds_ % kRoundsPerLook == 0) {
    look_for_lost_peers();
  }
  return moved;
}

bool Proxy::take(CommandPopper& fifo) {
  CommandWords words;
  int num_taken = 0;
  while (num_taken < kBatch && fifo.peek(words) && enqueue(decode(words))) {
    fifo.pop();
    ++num_taken;
  }
  if (num_taken == 0) {
    return false;
  }
  fifo.publish();
  counters_.commands += static_cast<std::uint64_t>(num_taken);
  return true;
}

bool Proxy::enqueue(const Command& command) {
  if (command.track >= peer_of_.size()) {
    refuse(fmt::format(
        "a command names track {}, wanted one below {}", command.track, peer_of_.size()));
  }
  if (refuses_all_) {
    ++counters_.dropped;
    return true;
  }
  Peer& peer = peers_[peer_of_[command.track]];
  if (peer.is_lost) {
    ++counters_.dropped;
    return true;
  }
  if (peer.queue.try_merge(command, options_.max_merged_bytes)) {
    return true;
  }
  if (peer.queue.is_full()) {
    return false;
  }
  peer.queue.push(command);
  return true;
}

bool Proxy::post_to(Peer& peer) {
  bool moved = false;
  while (!peer.queue.is_empty()) {
    const Command& command = peer.queue.front();
    const std::uint64_t in_flight = wiring_.transport->in_flight_bytes(peer.rank);
    if (in_flight != 0 && in_flight + command.bytes > options_.window_bytes) {
      ++counters_.window_stalls;
      break;
    }
    Posted posted = Posted::kFull;
    try {
      posted = post(command);
    } catch (const std::exception& error) {
      refuse(fmt::format("a command on track {}: {}", command.track, error.what()));
      return true;
    }
    if (posted == Posted::kFull) {
      break;
    }
    if (posted == Posted::kPeerLost) {
      lose(peer);
      return true;
    }
    peer.queue.pop();
    ++counters_.postings;
    moved = true;
  }
  return moved;
}

Posted Proxy::post(const Command& command) {
  const int track = wiring_.tracks[command.track].track;
  if (command.kind == CommandKind::kSignal) {
    return wiring_.transport->signal(
        track, {.counter_offset = command.remote_offset, .value = command.value});
  }
  const Posted posted = wiring_.transport->put(track,
                                               {.local_offset = command.local_offset,
                                                .remote_offset = command.remote_offset,
                                                .bytes = command.bytes});
  if (posted == Posted::kPosted && command.bytes != 0) {
    if (put_bytes_[command.track] == reported_[command.track]) {
      active_.push_back(command.track);  // room for every track was reserved
    }
    put_bytes_[command.track] += command.bytes;
  }
  return posted;
}

bool Proxy::report_completions() {
  bool moved = false;
  for (std::size_t position = 0; position < active_.size();) {
    const std::uint32_t track = active_[position];
    const std::uint64_t bytes = wiring_.transport->completed_bytes(wiring_.tracks[track].track);
    if (bytes != reported_[track]) {
      reported_[track] = bytes;
      // Pairs with the acquire of the pusher, which then may overwrite the source.
      std::atomic_ref<std::uint64_t>(wiring_.completions[track].bytes)
          .store(bytes, std::memory_order_release);
      moved = true;
    }
    if (bytes == put_bytes_[track]) {
      active_[position] = active_.back();
      active_.pop_back();
    } else {
      ++position;
    }
  }
  return moved;
}

bool Proxy::is_idle() const {
  CommandWords words;
  return std::none_of(fifos_.begin(),
                      fifos_.end(),
                      [&](const CommandPopper& fifo) { return fifo.peek(words); }) &&
         std::all_of(peers_.begin(),
                     peers_.end(),
                     [](const Peer& peer) { return peer.queue.is_empty(); }) &&
         wiring_.transport->is_quiet();
}

void Proxy::look_for_lost_peers() {
  for (Peer& peer : peers_) {
    if (!peer.is_lost && !wiring_.transport->why_lost(peer.rank).empty()) {
      lose(peer);
    }
  }
}

void Proxy::lose(Peer& peer) {
  peer.is_lost = true;
  counters_.dropped += peer.queue.size();
  peer.queue.clear();
  std::erase_if(active_, [&](std::uint32_t track) { return &peers_[peer_of_[track]] == &peer; });
  if (wiring_.on_fault) {
    wiring_.on_fault({.peer = peer.rank, .what = wiring_.transport->why_lost(peer.rank)});
  }
}

void Proxy::refuse(const std::string& what) {
  if (refuses_all_) {
    return;
  }
  refuses_all_ = true;
  for (Peer& peer : peers_) {
    counters_.dropped += peer.queue.size();
    peer.queue.clear();
  }
  if (wiring_.on_fault) {
    wiring_.on_fault({.peer = -1, .what = what});
  }
}

}  // namespace switchyard::transport
