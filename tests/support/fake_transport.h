// A transport that carries nothing: it writes down what was posted, and completes, fills up and
// loses peers when the test says so.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "csrc/transport/transport.h"
#include "switchyard/error.h"

namespace switchyard::test {

class FakeTransport final : public transport::Transport {
 public:
  explicit FakeTransport(std::vector<int> peer_of_track)
      : peer_of_track_(std::move(peer_of_track)) {}

  // What the test does to it.

  /// Everything that was posted, as text: "put 0: 64 from 0 to 128", "signal 0: 8 = 3".
  [[nodiscard]] std::vector<std::string> take_log() { return std::exchange(log_, {}); }
  void complete(int track, std::uint64_t bytes) {
    completed_[track] += bytes;
    in_flight_[peer_of(track)] -= bytes;
  }
  void set_full(bool is_full) { is_full_ = is_full; }
  void lose(int peer) { why_lost_[peer] = fmt::format("rank {} is gone", peer); }
  [[nodiscard]] int num_polls() const { return num_polls_; }

  // What it is.

  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int num_ranks() const override { return 64; }
  [[nodiscard]] std::string describe() const override { return "fake"; }
  int register_region(std::span<std::byte> /*memory*/) override { return 0; }
  [[nodiscard]] std::vector<std::byte> region_key(int /*region_idx*/) const override { return {}; }
  void deregister_region(int /*region_idx*/) override {}
  int attach_region(int /*peer*/, std::span<const std::byte> /*key*/) override { return 0; }
  void detach_region(int /*attached_idx*/) override {}
  int open_track(const transport::TrackRequest& /*request*/) override { return 0; }
  void close_track(int /*track*/) override {}

  transport::Posted put(int track, const transport::Put& put) override {
    if (const auto refused = refusal(track)) {
      return *refused;
    }
    if (put.remote_offset + put.bytes > kRegionBytes) {
      throw InvalidArgument("target of the put: outside its region");
    }
    in_flight_[peer_of(track)] += put.bytes;
    log_.push_back(fmt::format(
        "put {}: {} from {} to {}", track, put.bytes, put.local_offset, put.remote_offset));
    return transport::Posted::kPosted;
  }
  transport::Posted signal(int track, const transport::Signal& signal) override {
    if (const auto refused = refusal(track)) {
      return *refused;
    }
    log_.push_back(fmt::format("signal {}: {} = {}", track, signal.counter_offset, signal.value));
    return transport::Posted::kPosted;
  }
  void poll() override { ++num_polls_; }

  [[nodiscard]] std::uint64_t completed_bytes(int track) const override {
    const auto found = completed_.find(track);
    return found == completed_.end() ? 0 : found->second;
  }
  [[nodiscard]] std::uint64_t in_flight_bytes(int peer) const override {
    const auto found = in_flight_.find(peer);
    return found == in_flight_.end() ? 0 : found->second;
  }
  [[nodiscard]] bool is_quiet() const override {
    return std::all_of(
        in_flight_.begin(), in_flight_.end(), [](const auto& peer) { return peer.second == 0; });
  }
  [[nodiscard]] const std::string& why_lost(int peer) const override { return why_lost_[peer]; }

  static constexpr std::uint64_t kRegionBytes = 1 << 20;

 private:
  [[nodiscard]] int peer_of(int track) const {
    return peer_of_track_[static_cast<std::size_t>(track)];
  }
  [[nodiscard]] std::optional<transport::Posted> refusal(int track) const {
    if (!why_lost_[peer_of(track)].empty()) {
      return transport::Posted::kPeerLost;
    }
    return is_full_ ? std::optional(transport::Posted::kFull) : std::nullopt;
  }

  std::vector<int> peer_of_track_;
  std::vector<std::string> log_;
  std::map<int, std::uint64_t> completed_;  // by track
  std::map<int, std::uint64_t> in_flight_;  // by peer
  mutable std::map<int, std::string> why_lost_;
  bool is_full_ = false;
  int num_polls_ = 0;
};

}  // namespace switchyard::test
