// Proxies with threads of their own over every backend: channels as the protocol will use them,
// their roles played by one worker for each rank.
#include "csrc/transport/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <thread>
#include <vector>

#include "csrc/transport/proxy_thread.h"
#include "tests/support/fifo_memory.h"
#include "tests/support/track_player.h"
#include "tests/support/transport_suite.h"

namespace switchyard::transport {
namespace {

using test::ChannelLayout;
using test::TrackPlayer;
using test::TransportRank;
using ::testing::Each;

class ProxyConformance : public test::TransportSuite {};

struct Shape {
  int num_ranks = 2;
  int num_channels = 1;
  std::uint64_t slot_bytes = 512;
  std::uint64_t num_packets = 300;
  std::uint64_t fifo_capacity = 16;
  ProxyOptions options{};

  /// Channel `channel` with `peer`: a packet from rank 2 to rank 5 leaves from block 5 of rank 2
  /// and lands in block 2 of rank 5.
  [[nodiscard]] ChannelLayout layout(int peer, int channel) const {
    ChannelLayout layout{.slot_bytes = slot_bytes};
    layout.base = static_cast<std::uint64_t>(peer * num_channels + channel) * layout.bytes();
    return layout;
  }
  [[nodiscard]] std::uint64_t region_bytes() const { return layout(num_ranks, 0).base; }
};

/// Everything that one rank's channels to all its peers need.
class Channels {
 public:
  Channels(TransportRank& mine, const Shape& shape) {
    const auto num_tracks = static_cast<std::size_t>(shape.num_ranks - 1) *
                            static_cast<std::size_t>(shape.num_channels);
    completions_.resize(num_tracks);
    Proxy::Wiring wiring{.transport = &mine.end(),
                         .fifos = {},
                         .tracks = {},
                         .completions = completions_,
                         .on_fault = [this](const ProxyFault& fault) { faults_.push_back(fault); }};
    for (int peer = 0; peer < shape.num_ranks; ++peer) {
      for (int channel = 0; peer != mine.rank() && channel < shape.num_channels; ++channel) {
        const auto track = static_cast<std::uint32_t>(wiring.tracks.size());
        wiring.tracks.push_back({.track = mine.open_track(peer), .peer = peer});
        wiring.fifos.push_back(memory_.emplace_back(shape.fifo_capacity).fifo());
        players_.push_back(TrackPlayer({.region = mine.region(),
                                        .layout = shape.layout(peer, channel),
                                        .peer_layout = shape.layout(mine.rank(), channel),
                                        .track = track,
                                        .completion = &completions_[track],
                                        .fifo = wiring.fifos.back(),
                                        .num_packets = shape.num_packets}));
      }
    }
    proxy_.emplace(std::move(wiring), shape.options);
  }

  /// Steps all players until each is done, with the proxy on a thread of its own.
  void play() {
    {
      const ProxyThread thread(*proxy_, {});
      const auto end = std::chrono::steady_clock::now() + test::kTransportPatience;
      while (!std::all_of(
          players_.begin(), players_.end(), [](const auto& player) { return player.is_done(); })) {
        bool moved = false;
        for (TrackPlayer& player : players_) {
          moved |= player.step();
        }
        if (!moved) {
          std::this_thread::yield();
        }
        if (std::chrono::steady_clock::now() > end) {
          throw std::runtime_error("the channels made no progress in time");
        }
      }
    }
    while (!proxy_->is_idle()) {
      proxy_->step();
    }
    EXPECT_TRUE(faults_.empty());
  }

 private:
  std::vector<Completion> completions_;
  std::deque<test::FifoMemory> memory_;
  std::vector<TrackPlayer> players_;
  std::vector<ProxyFault> faults_;
  std::optional<Proxy> proxy_;
};

void play_on_all(TransportRank& mine, const Shape& shape) {
  Channels channels(mine, shape);
  channels.play();
  mine.meet();
}

TEST_P(ProxyConformance, CarriesOneChannelBothWays) {
  const Shape shape;
  EXPECT_THAT(run(2, shape.region_bytes(), [&](TransportRank& mine) { play_on_all(mine, shape); }),
              Each(""));
}

TEST_P(ProxyConformance, CarriesManyChannelsThroughSmallFifosAndWindows) {
  const Shape shape{.num_channels = 6,
                    .slot_bytes = 1024,
                    .fifo_capacity = 4,
                    .options = {.window_bytes = 6000, .max_merged_bytes = 2048}};
  EXPECT_THAT(run(2, shape.region_bytes(), [&](TransportRank& mine) { play_on_all(mine, shape); }),
              Each(""));
}

TEST_P(ProxyConformance, CarriesBetweenManyRanksAtOnce) {
  const Shape shape{.num_ranks = 4, .num_channels = 2, .num_packets = 100};
  EXPECT_THAT(run(4, shape.region_bytes(), [&](TransportRank& mine) { play_on_all(mine, shape); }),
              Each(""));
}

TEST_P(ProxyConformance, ReportsThePeerThatLeaves) {
  if (!GetParam().sees_ends_leave) {
    GTEST_SKIP() << "this backend loses peers whose process ends: process.TransportProcesses";
  }
  EXPECT_THAT(run(2,
                  4096,
                  [](TransportRank& mine) {
                    if (mine.rank() == 1) {
                      mine.wait_for(0, 1);
                      mine.meet();
                      mine.leave();
                      return;
                    }
                    test::FifoMemory memory(16);
                    std::vector<Completion> completions(1);
                    std::vector<ProxyFault> faults;
                    const int track = mine.open_track(1);
                    Proxy proxy(
                        {.transport = &mine.end(),
                         .fifos = {memory.fifo()},
                         .tracks = {{.track = track, .peer = 1}},
                         .completions = completions,
                         .on_fault = [&](const ProxyFault& fault) { faults.push_back(fault); }},
                        {});
                    CommandPusher pusher{memory.fifo()};
                    HostFifoMemory host;
                    pusher.try_push(host, {.kind = CommandKind::kSignal, .value = 1});
                    while (!proxy.is_idle()) {
                      proxy.step();
                    }
                    mine.meet();
                    mine.poll_until([&] {
                      pusher.try_push(host, {.local_offset = 64, .bytes = 64});
                      proxy.step();
                      return !faults.empty();
                    });
                    EXPECT_EQ(faults[0].peer, 1);
                    EXPECT_NE(faults[0].what, "");
                  }),
              Each(""));
}

INSTANTIATE_TEST_SUITE_P(Backends,
                         ProxyConformance,
                         ::testing::ValuesIn(test::transport_backends()),
                         test::backend_name);

}  // namespace
}  // namespace switchyard::transport
