// What every backend of the transport owes before and after bytes travel: regions, keys, tracks,
// refusals, and peers that leave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "csrc/transport/region_key.h"
#include "switchyard/error.h"
#include "tests/support/refusal.h"
#include "tests/support/transport_suite.h"

namespace switchyard::transport {
namespace {

using test::fill_pattern;
using test::has_pattern;
using test::text_of;
using test::TransportRank;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

class TransportSetup : public test::TransportSuite {};

constexpr std::uint64_t kRegionBytes = 4096;
constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

TEST_P(TransportSetup, SaysWhatItIsAndWhoseEnd) {
  EXPECT_THAT(run(3,
                  kRegionBytes,
                  [](TransportRank& mine) {
                    EXPECT_EQ(mine.end().rank(), mine.rank());
                    EXPECT_EQ(mine.end().num_ranks(), 3);
                    EXPECT_NE(mine.end().describe(), "");
                    EXPECT_EQ(mine.end().why_lost(1), "");
                    mine.meet();
                    EXPECT_TRUE(mine.end().is_quiet());
                  }),
              Each(""));
}

TEST_P(TransportSetup, CarriesOverRegionsThatCameAndWent) {
  EXPECT_THAT(
      run(2,
          kRegionBytes,
          [](TransportRank& mine) {
            const int peer = 1 - mine.rank();
            const int home = mine.open_track(peer);
            for (std::uint64_t round = 1; round <= 20; ++round) {
              std::vector<std::uint64_t> words(100 * round);
              const auto memory = std::as_writable_bytes(std::span(words));
              const int region = mine.end().register_region(memory);
              const auto keys = gather_keys(mine.bootstrap(), mine.end(), region);
              const int attached =
                  mine.end().attach_region(peer, keys[static_cast<std::size_t>(peer)]);
              const int track = mine.end().open_track(
                  {.peer = peer, .region_idx = mine.region_idx(), .attached_idx = attached});

              fill_pattern(mine.region().subspan(64, 800), round);
              mine.put(track, peer, {.local_offset = 64, .remote_offset = 0, .bytes = 800});
              mine.meet();
              EXPECT_TRUE(has_pattern(memory.first(800), round));
              mine.signal(home, peer, {.counter_offset = 0, .value = round});
              mine.wait_for(0, round);
              mine.meet();

              mine.end().close_track(track);
              mine.end().detach_region(attached);
              mine.bootstrap().barrier();
              mine.end().deregister_region(region);
            }
            mine.meet();
          }),
      Each(""));
}

TEST_P(TransportSetup, RefusesToTakeBackWhatATrackStillUses) {
  EXPECT_THAT(run(2,
                  kRegionBytes,
                  [](TransportRank& mine) {
                    const int peer = 1 - mine.rank();
                    const int track = mine.open_track(peer);
                    EXPECT_THAT(text_of<InvalidState>(
                                    [&] { mine.end().deregister_region(mine.region_idx()); }),
                                HasSubstr("region 0: 1 open tracks"));
                    EXPECT_THROW(mine.end().detach_region(mine.attached(peer)), InvalidState);
                    mine.meet();
                    mine.end().close_track(track);
                    EXPECT_NO_THROW(mine.end().detach_region(mine.attached(peer)));
                    EXPECT_THROW(mine.open_track(peer), InvalidArgument);
                    mine.bootstrap().barrier();
                    EXPECT_NO_THROW(mine.end().deregister_region(mine.region_idx()));
                    EXPECT_THROW((void)mine.end().region_key(mine.region_idx()), InvalidArgument);
                  }),
              Each(""));
}

TEST_P(TransportSetup, RefusesKeysThatAreNotThePeers) {
  std::vector<std::byte> key_of_another_group;
  ASSERT_THAT(run(1,
                  kRegionBytes,
                  [&](TransportRank& mine) {
                    key_of_another_group = mine.end().region_key(mine.region_idx());
                  }),
              Each(""));
  EXPECT_THAT(run(2,
                  kRegionBytes,
                  [&](TransportRank& mine) {
                    const auto keys = gather_keys(mine.bootstrap(), mine.end(), mine.region_idx());
                    const auto attach = [&](int peer, std::vector<std::byte> key) {
                      return text_of<InvalidArgument>([&] { mine.end().attach_region(peer, key); });
                    };
                    EXPECT_THAT(attach(0, {}), HasSubstr("got 0 bytes"));
                    EXPECT_THAT(attach(0, keys[1]), HasSubstr("its rank is 1, wanted 0"));
                    EXPECT_THAT(attach(0, key_of_another_group), HasSubstr("its group is"));
                    EXPECT_THAT(attach(2, keys[1]), HasSubstr("peer: got 2"));
                    EXPECT_THAT(attach(-1, keys[1]), HasSubstr("peer: got -1"));
                    auto longer = keys[1];
                    longer.push_back(std::byte{});
                    EXPECT_THAT(attach(1, longer), HasSubstr("length of its details"));
                    for (std::size_t position = 0; position < keys[1].size(); ++position) {
                      auto damaged = keys[1];
                      damaged[position] ^= std::byte{1};
                      EXPECT_NE(attach(1, damaged), "") << "byte " << position;
                    }
                    mine.meet();
                  }),
              Each(""));
}

TEST_P(TransportSetup, RefusesWhatDoesNotFitTheTracksRegions) {
  EXPECT_THAT(
      run(2,
          kRegionBytes,
          [](TransportRank& mine) {
            const int track = mine.open_track(1 - mine.rank());
            const auto put = [&](const Put& range) {
              return text_of<InvalidArgument>([&] { mine.end().put(track, range); });
            };
            EXPECT_THAT(
                put({.local_offset = 0, .remote_offset = 0, .bytes = kRegionBytes + 1}),
                AllOf(HasSubstr("source of the put"), HasSubstr("4097"), HasSubstr("4096")));
            EXPECT_THAT(put({.local_offset = 0, .remote_offset = 1, .bytes = kRegionBytes}),
                        HasSubstr("target of the put"));
            EXPECT_NE(put({.local_offset = 1, .remote_offset = 0, .bytes = kHuge}), "");
            EXPECT_NE(put({.local_offset = kHuge, .remote_offset = 0, .bytes = 1}), "");
            EXPECT_NE(put({.local_offset = 0, .remote_offset = kHuge - 7, .bytes = 16}), "");
            EXPECT_NE(put({.local_offset = 0, .remote_offset = kHuge, .bytes = 0}), "");
            const auto signal = [&](std::uint64_t offset) {
              return text_of<InvalidArgument>(
                  [&] { mine.end().signal(track, {.counter_offset = offset, .value = 1}); });
            };
            EXPECT_THAT(signal(kRegionBytes - 4), HasSubstr("counter of the signal"));
            EXPECT_THAT(signal(4), HasSubstr("no multiple of 8"));
            EXPECT_NE(signal(kHuge - 3), "");
            EXPECT_NE(signal(kHuge - 7), "");
            mine.meet();
            EXPECT_TRUE(mine.end().is_quiet());
          }),
      Each(""));
}

TEST_P(TransportSetup, RefusesIndicesThatWereNeverHandedOut) {
  EXPECT_THAT(run(2,
                  kRegionBytes,
                  [](TransportRank& mine) {
                    Transport& end = mine.end();
                    EXPECT_THROW(end.put(0, {}), InvalidArgument);
                    EXPECT_THROW(end.put(-1, {}), InvalidArgument);
                    EXPECT_THROW(end.signal(7, {}), InvalidArgument);
                    EXPECT_THROW((void)end.completed_bytes(0), InvalidArgument);
                    EXPECT_THROW((void)end.in_flight_bytes(2), InvalidArgument);
                    EXPECT_THROW((void)end.why_lost(-1), InvalidArgument);
                    EXPECT_THROW(end.register_region({}), InvalidArgument);
                    EXPECT_THROW(end.deregister_region(1), InvalidArgument);
                    EXPECT_THROW(end.detach_region(2), InvalidArgument);
                    EXPECT_THROW(end.close_track(0), InvalidArgument);
                    // Region 1 of rank 1 is not rank 0's.
                    EXPECT_THAT(text_of<InvalidArgument>([&] {
                                  end.open_track({.peer = 0,
                                                  .region_idx = mine.region_idx(),
                                                  .attached_idx = mine.attached(1)});
                                }),
                                HasSubstr("rank 1's"));
                    EXPECT_THROW(end.open_track({.peer = 0, .region_idx = 3, .attached_idx = 0}),
                                 InvalidArgument);
                    EXPECT_THROW(end.open_track({}), InvalidArgument);
                    mine.meet();
                  }),
              Each(""));
}

TEST_P(TransportSetup, LosesAPeerThatLeavesAndKeepsTheOthers) {
  if (!GetParam().sees_ends_leave) {
    GTEST_SKIP() << "this backend loses peers whose process ends: process.TransportProcesses";
  }
  EXPECT_THAT(
      run(3,
          kRegionBytes,
          [](TransportRank& mine) {
            const int to_leaver = mine.rank() == 1 ? -1 : mine.open_track(1);
            if (to_leaver >= 0) {
              mine.signal(
                  to_leaver,
                  1,
                  {.counter_offset = 8 * static_cast<std::uint64_t>(mine.rank()), .value = 1});
            } else {
              mine.wait_for(0, 1);
              mine.wait_for(16, 1);
            }
            mine.meet();
            if (mine.rank() == 1) {
              mine.leave();
            }
            mine.bootstrap().barrier();
            if (mine.rank() == 1) {
              mine.meet();
              return;
            }
            // The loss shows within the deadline, by whatever way the backend learns of it.
            EXPECT_THROW(
                {
                  for (;;) {
                    mine.put(to_leaver, 1, {.local_offset = 0, .remote_offset = 64, .bytes = 512});
                    mine.end().poll();
                  }
                },
                PeerLost);
            EXPECT_THAT(mine.end().why_lost(1), HasSubstr("rank 1"));
            EXPECT_EQ(mine.end().signal(to_leaver, {.counter_offset = 0, .value = 2}),
                      Posted::kPeerLost);

            const int other = 2 - mine.rank();
            const int track = mine.open_track(other);
            mine.signal(track, other, {.counter_offset = 1024, .value = 5});
            mine.wait_for(1024, 5);
            EXPECT_EQ(mine.end().why_lost(other), "");
            mine.meet();
            EXPECT_NO_THROW(mine.end().close_track(to_leaver));
          }),
      Each(""));
}

TEST_P(TransportSetup, LosesAnOwnerRatherThanWriteIntoARegionThatItTookBack) {
  if (!GetParam().refuses_old_keys) {
    GTEST_SKIP() << "this backend may write where an old key says";
  }
  EXPECT_THAT(
      run(2,
          kRegionBytes,
          [](TransportRank& mine) {
            std::vector<std::uint64_t> words(512);
            const int region = mine.end().register_region(std::as_writable_bytes(std::span(words)));
            const auto keys = gather_keys(mine.bootstrap(), mine.end(), region);
            if (mine.rank() == 1) {
              mine.bootstrap().barrier();
              mine.end().deregister_region(region);
              mine.bootstrap().barrier();
              mine.meet();
              EXPECT_THAT(words, Each(0U));
              return;
            }
            const int attached = mine.end().attach_region(1, keys[1]);
            const int track = mine.end().open_track(
                {.peer = 1, .region_idx = mine.region_idx(), .attached_idx = attached});
            mine.bootstrap().barrier();
            mine.bootstrap().barrier();
            fill_pattern(mine.region(), 1);
            EXPECT_THROW(
                {
                  for (;;) {
                    mine.put(track, 1, {.local_offset = 0, .remote_offset = 64, .bytes = 512});
                    mine.end().poll();
                  }
                },
                PeerLost);
            EXPECT_THAT(mine.end().why_lost(1), HasSubstr("rank 1"));
            mine.meet();
          }),
      Each(""));
}

INSTANTIATE_TEST_SUITE_P(Backends,
                         TransportSetup,
                         ::testing::ValuesIn(test::transport_backends()),
                         test::backend_name);

}  // namespace
}  // namespace switchyard::transport
