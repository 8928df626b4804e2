// What every backend of the transport owes: bytes arrive whole, and a signal only after them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/support/transport_suite.h"

namespace switchyard::transport {
namespace {

using test::fill_pattern;
using test::has_pattern;
using test::TransportRank;
using ::testing::Each;

class TransportPut : public test::TransportSuite {};

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kCounter = 0;
constexpr std::uint64_t kData = 64;

/// Rank 0 puts `bytes` from an odd place to an odd place of rank 1, which checks them and what lies
/// around them.
void put_once(TransportRank& mine, std::uint64_t bytes) {
  constexpr std::uint64_t kTarget = kData + 3;
  auto payload = mine.region().subspan(kTarget, bytes);
  if (mine.rank() == 0) {
    const int track = mine.open_track(1);
    fill_pattern(payload, bytes);
    mine.put(track, 1, {.local_offset = kTarget, .remote_offset = kTarget, .bytes = bytes});
    mine.signal(track, 1, {.counter_offset = kCounter, .value = 1});
    mine.poll_until([&] { return mine.end().completed_bytes(track) == bytes; });
  } else {
    mine.wait_for(kCounter, 1);
    EXPECT_TRUE(has_pattern(payload, bytes)) << bytes << " bytes";
    EXPECT_EQ(mine.memory()[kTarget - 1], std::byte{});
    EXPECT_EQ(mine.memory()[kTarget + bytes], std::byte{});
  }
  mine.meet();
}

TEST_P(TransportPut, ArrivesWholeWhateverItsSize) {
  for (const std::uint64_t bytes :
       {0UL, 1UL, 7UL, 8UL, 15UL, 64UL, 255UL, 4095UL, 4097UL, 65'539UL, kMiB + 1}) {
    EXPECT_THAT(run(2, bytes + 128, [&](TransportRank& mine) { put_once(mine, bytes); }), Each(""));
  }
}

TEST_P(TransportPut, ArrivesWholeWhenItIsLarge) {
  EXPECT_THAT(run(2, 64 * kMiB + 128, [](TransportRank& mine) { put_once(mine, 64 * kMiB); }),
              Each(""));
}

/// A track as the protocol uses one: slots, a tail at the consumer, a head at the producer.
struct Slots {
  static constexpr std::uint64_t kHead = 8;
  static constexpr std::uint64_t kNumSlots = 8;
  std::uint64_t slot_bytes;

  [[nodiscard]] std::uint64_t at(std::uint64_t count) const {
    return kData + count % kNumSlots * slot_bytes;
  }
  [[nodiscard]] std::uint64_t region_bytes() const { return kData + kNumSlots * slot_bytes; }
};

/// Sends chunks of one to four slots, each filled with a pattern of its own, one put for each slot.
void produce(TransportRank& mine, int track, int peer, const Slots& slots, std::uint64_t num) {
  for (std::uint64_t tail = 0; tail < num;) {
    const std::uint64_t chunk = std::min(1 + tail % 4, num - tail);
    mine.poll_until([&] { return tail + chunk - mine.load(Slots::kHead) <= Slots::kNumSlots; });
    for (const std::uint64_t end = tail + chunk; tail < end; ++tail) {
      const std::uint64_t place = slots.at(tail);
      fill_pattern(mine.region().subspan(place, slots.slot_bytes), tail);
      mine.put(
          track, peer, {.local_offset = place, .remote_offset = place, .bytes = slots.slot_bytes});
    }
    mine.signal(track, peer, {.counter_offset = kCounter, .value = tail});
  }
}

/// Takes whatever has come, checks it and gives the slots back.
void consume(TransportRank& mine, int track, int peer, const Slots& slots, std::uint64_t num) {
  for (std::uint64_t head = 0; head < num;) {
    mine.wait_for(kCounter, head + 1);
    const std::uint64_t tail = mine.load(kCounter);
    ASSERT_LE(tail, head + Slots::kNumSlots);
    for (; head < tail; ++head) {
      ASSERT_TRUE(has_pattern(mine.region().subspan(slots.at(head), slots.slot_bytes), head))
          << "slot " << head << " was signalled before its bytes were there";
    }
    mine.signal(track, peer, {.counter_offset = Slots::kHead, .value = head});
  }
}

TEST_P(TransportPut, IsVisibleBeforeItsSignalUnderLoad) {
  for (const std::uint64_t slot_bytes : {16UL, 1000UL, 20'000UL}) {
    const Slots slots{slot_bytes};
    EXPECT_THAT(run(2,
                    slots.region_bytes(),
                    [&](TransportRank& mine) {
                      const int peer = 1 - mine.rank();
                      const int track = mine.open_track(peer);
                      (mine.rank() == 0 ? produce : consume)(mine, track, peer, slots, 400);
                      mine.meet();
                    }),
                Each(""));
  }
}

TEST_P(TransportPut, LeavesTheLastOfManySignals) {
  EXPECT_THAT(run(2,
                  64,
                  [](TransportRank& mine) {
                    constexpr std::uint64_t kLast = 3000;
                    if (mine.rank() == 0) {
                      const int track = mine.open_track(1);
                      for (std::uint64_t value = 1; value <= kLast; ++value) {
                        mine.signal(track, 1, {.counter_offset = 8, .value = value});
                      }
                    } else {
                      std::uint64_t seen = 0;
                      while (seen < kLast) {
                        mine.wait_for(8, seen + 1);
                        const std::uint64_t now = mine.load(8);
                        ASSERT_GT(now, seen) << "a counter went back";
                        seen = now;
                      }
                      EXPECT_EQ(seen, kLast);
                    }
                    mine.meet();
                    EXPECT_EQ(mine.load(8), mine.rank() == 0 ? 0U : kLast);
                  }),
              Each(""));
}

TEST_P(TransportPut, KeepsTracksApartWhenThereAreMany) {
  constexpr std::uint64_t kTracks = 64;
  constexpr std::uint64_t kRounds = 20;
  constexpr std::uint64_t kBytes = 512;
  EXPECT_THAT(
      run(2,
          kTracks * (8 + kBytes),
          [](TransportRank& mine) {
            const auto counter = [](std::uint64_t track) { return 8 * track; };
            const auto place = [](std::uint64_t track) { return 8 * kTracks + kBytes * track; };
            std::vector<int> tracks;
            for (std::uint64_t idx = 0; idx < kTracks && mine.rank() == 0; ++idx) {
              tracks.push_back(mine.open_track(1));
            }
            for (std::uint64_t round = 1; round <= kRounds; ++round) {
              for (std::uint64_t idx = 0; idx < kTracks; ++idx) {
                auto payload = mine.region().subspan(place(idx), kBytes);
                if (mine.rank() == 0) {
                  fill_pattern(payload, round * kTracks + idx);
                  mine.put(
                      tracks[idx],
                      1,
                      {.local_offset = place(idx), .remote_offset = place(idx), .bytes = kBytes});
                  mine.signal(tracks[idx], 1, {.counter_offset = counter(idx), .value = round});
                } else {
                  mine.wait_for(counter(idx), round);
                  EXPECT_TRUE(has_pattern(payload, round * kTracks + idx));
                }
              }
              mine.meet();
            }
          }),
      Each(""));
}

TEST_P(TransportPut, ReachesEveryOneOfManyPeers) {
  constexpr int kRanks = 8;
  constexpr std::uint64_t kBlocks = 2 * kRanks;
  constexpr std::uint64_t kBytes = 3000;
  EXPECT_THAT(
      run(kRanks,
          kRanks * 8 + kBlocks * kBytes,
          [](TransportRank& mine) {
            // Source s writes counter s and block s of each peer, itself too, from block
            // kRanks + peer of its own.
            const auto block = [](int idx) {
              return std::uint64_t{8} * kRanks + kBytes * static_cast<std::uint64_t>(idx);
            };
            const auto seed = [](int from, int to) {
              return static_cast<std::uint64_t>(kRanks * from + to);
            };
            for (int peer = 0; peer < kRanks; ++peer) {
              const int track = mine.open_track(peer);
              const std::uint64_t source = block(kRanks + peer);
              fill_pattern(mine.region().subspan(source, kBytes), seed(mine.rank(), peer));
              mine.put(
                  track,
                  peer,
                  {.local_offset = source, .remote_offset = block(mine.rank()), .bytes = kBytes});
              mine.signal(
                  track,
                  peer,
                  {.counter_offset = 8 * static_cast<std::uint64_t>(mine.rank()), .value = 1});
            }
            for (int source = 0; source < kRanks; ++source) {
              mine.wait_for(8 * static_cast<std::uint64_t>(source), 1);
              EXPECT_TRUE(has_pattern(mine.region().subspan(block(source), kBytes),
                                      seed(source, mine.rank())));
            }
            mine.meet();
          }),
      Each(""));
}

TEST_P(TransportPut, PushesBackAndLosesNothingWhenPostedFasterThanCarried) {
  constexpr std::uint64_t kPuts = 20'000;
  constexpr std::uint64_t kBytes = 1024;
  constexpr std::uint64_t kPlaces = 64;
  EXPECT_THAT(
      run(2,
          kData + kPlaces * kBytes,
          [](TransportRank& mine) {
            const auto place = [](std::uint64_t idx) { return kData + idx % kPlaces * kBytes; };
            auto all = mine.region().subspan(kData);
            if (mine.rank() == 0) {
              const int track = mine.open_track(1);
              fill_pattern(all, 1);
              std::uint64_t posted = 0;
              while (posted < kPuts) {
                // No poll until the backend says that it is full.
                while (posted < kPuts && mine.end().put(track,
                                                        {.local_offset = place(posted),
                                                         .remote_offset = place(posted),
                                                         .bytes = kBytes}) == Posted::kPosted) {
                  ++posted;
                }
                ASSERT_EQ(mine.end().why_lost(1), "");
                mine.end().poll();
              }
              mine.signal(track, 1, {.counter_offset = kCounter, .value = 1});
              mine.poll_until([&] { return mine.end().is_quiet(); });
              EXPECT_EQ(mine.end().completed_bytes(track), kPuts * kBytes);
              EXPECT_EQ(mine.end().in_flight_bytes(1), 0U);
            } else {
              mine.wait_for(kCounter, 1);
              EXPECT_TRUE(has_pattern(all, 1));
            }
            mine.meet();
          }),
      Each(""));
}

TEST_P(TransportPut, LetsTheSourceBeOverwrittenOnceItsBytesAreCompleted) {
  constexpr std::uint64_t kRounds = 100;
  constexpr std::uint64_t kBytes = 9000;
  EXPECT_THAT(
      run(2,
          kData + kRounds * kBytes,
          [&](TransportRank& mine) {
            const auto place = [](std::uint64_t round) { return kData + round * kBytes; };
            if (mine.rank() == 0) {
              const int track = mine.open_track(1);
              auto source = mine.region().subspan(kData, kBytes);
              for (std::uint64_t round = 0; round < kRounds; ++round) {
                mine.poll_until(
                    [&] { return mine.end().completed_bytes(track) == round * kBytes; });
                fill_pattern(source, round);
                mine.put(track,
                         1,
                         {.local_offset = kData, .remote_offset = place(round), .bytes = kBytes});
                EXPECT_LE(mine.end().in_flight_bytes(1), kBytes);
              }
              mine.signal(track, 1, {.counter_offset = kCounter, .value = 1});
            } else {
              mine.wait_for(kCounter, 1);
              for (std::uint64_t round = 0; round < kRounds; ++round) {
                EXPECT_TRUE(has_pattern(mine.region().subspan(place(round), kBytes), round));
              }
            }
            mine.meet();
          }),
      Each(""));
}

INSTANTIATE_TEST_SUITE_P(Backends,
                         TransportPut,
                         ::testing::ValuesIn(test::transport_backends()),
                         test::backend_name);

}  // namespace
}  // namespace switchyard::transport
