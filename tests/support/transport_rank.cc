#include "tests/support/transport_rank.h"

#include <atomic>
#include <stdexcept>
#include <thread>

#include "csrc/bootstrap/together.h"
#include "csrc/transport/meet.h"
#include "csrc/transport/region_key.h"

namespace switchyard::test {

using transport::Posted;

TransportRank::TransportRank(Bootstrap& bootstrap,
                             const MakeTransport& make,
                             std::uint64_t region_bytes)
    : bootstrap_(bootstrap), words_((region_bytes + 7) / 8), end_(make(bootstrap)) {
  region_idx_ = end_->register_region(region());
  const auto keys = transport::gather_keys(bootstrap, *end_, region_idx_);
  for (int peer = 0; peer < bootstrap.num_ranks(); ++peer) {
    attached_.push_back(end_->attach_region(peer, keys[static_cast<std::size_t>(peer)]));
  }
}

int TransportRank::open_track(int peer) {
  return end_->open_track(
      {.peer = peer, .region_idx = region_idx_, .attached_idx = attached(peer)});
}

void TransportRank::put(int track, int peer, const transport::Put& put) {
  poll_until([&] {
    const Posted posted = end_->put(track, put);
    if (posted == Posted::kPeerLost) {
      throw_peer_lost(*end_, peer);
    }
    return posted == Posted::kPosted;
  });
}

void TransportRank::signal(int track, int peer, const transport::Signal& signal) {
  poll_until([&] {
    const Posted posted = end_->signal(track, signal);
    if (posted == Posted::kPeerLost) {
      throw_peer_lost(*end_, peer);
    }
    return posted == Posted::kPosted;
  });
}

std::uint64_t TransportRank::load(std::uint64_t offset) {
  // Pairs with the signal of whichever backend.
  return std::atomic_ref<std::uint64_t>(words_[offset / 8]).load(std::memory_order_acquire);
}

void TransportRank::poll_until(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kTransportPatience;
  while (!condition()) {
    end_->poll();
    std::this_thread::yield();
    if (std::chrono::steady_clock::now() > end) {
      throw std::runtime_error("the transport made no progress in time: " + end_->describe());
    }
  }
}

void TransportRank::wait_for(std::uint64_t counter_offset, std::uint64_t value) {
  poll_until([&] { return load(counter_offset) >= value; });
}

void TransportRank::meet() {
  if (end_ == nullptr) {
    bootstrap::run_together(bootstrap_, [] {});
    return;
  }
  transport::meet_quietly(bootstrap_, *end_, kTransportPatience);
}

namespace {

std::byte pattern_at(std::uint64_t position, std::uint64_t seed) {
  const std::uint64_t mixed = (position + 1) * 0x9E37'79B9'7F4A'7C15 + seed * 0xD134'2543'DE82'EF95;
  return static_cast<std::byte>(mixed >> 56);
}

}  // namespace

void fill_pattern(std::span<std::byte> bytes, std::uint64_t seed) {
  for (std::uint64_t position = 0; position < bytes.size(); ++position) {
    bytes[position] = pattern_at(position, seed);
  }
}

bool has_pattern(std::span<const std::byte> bytes, std::uint64_t seed) {
  for (std::uint64_t position = 0; position < bytes.size(); ++position) {
    if (bytes[position] != pattern_at(position, seed)) {
      return false;
    }
  }
  return true;
}

}  // namespace switchyard::test
