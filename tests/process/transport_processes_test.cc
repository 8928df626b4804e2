// Transports between real processes: bytes arrive, and whose process ends is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "switchyard/error.h"
#include "tests/support/process.h"
#include "tests/support/transport_backends.h"

namespace switchyard::transport {
namespace {

using test::fill_pattern;
using test::has_pattern;
using test::TransportRank;
using ::testing::Each;
using ::testing::HasSubstr;

class TransportProcesses : public ::testing::TestWithParam<test::TransportBackend> {
 protected:
  void SetUp() override {
    if (const std::string why = GetParam().why_not(); !why.empty()) {
      GTEST_SKIP() << why;
    }
  }
};

constexpr std::uint64_t kBytes = 100'000;
constexpr std::uint64_t kData = 64;

TEST_P(TransportProcesses, CarryBytesBothWays) {
  const auto make = GetParam().make;
  EXPECT_THAT(test::run_ranks(3,
                              [&](Bootstrap& bootstrap) {
                                TransportRank mine(bootstrap, make, kData + 4 * kBytes);
                                const auto rank = static_cast<std::uint64_t>(mine.rank());
                                const auto block = [&](std::uint64_t idx) {
                                  return mine.region().subspan(kData + idx * kBytes, kBytes);
                                };
                                fill_pattern(block(3), rank);
                                for (int peer = 0; peer < 3; ++peer) {
                                  const int track = mine.open_track(peer);
                                  mine.put(track,
                                           peer,
                                           {.local_offset = kData + 3 * kBytes,
                                            .remote_offset = kData + rank * kBytes,
                                            .bytes = kBytes});
                                  mine.signal(
                                      track, peer, {.counter_offset = 8 * rank, .value = 1});
                                }
                                for (std::uint64_t source = 0; source < 3; ++source) {
                                  mine.wait_for(8 * source, 1);
                                  EXPECT_TRUE(has_pattern(block(source), source));
                                }
                                mine.meet();
                              }),
              Each(test::kSuccess));
}

TEST_P(TransportProcesses, LoseAPeerThatIsKilledInMidTransfer) {
  const auto make = GetParam().make;
  constexpr int kVictim = 1;
  const auto exits = test::run_ranks(3, [&](Bootstrap& bootstrap) {
    TransportRank mine(bootstrap, make, kData + kBytes);
    if (mine.rank() == kVictim) {
      mine.wait_for(0, 5);
      ::kill(::getpid(), SIGKILL);
    }
    const int track = mine.open_track(kVictim);
    const auto send_for_ever = [&] {
      for (std::uint64_t value = 1;; ++value) {
        mine.put(track, kVictim, {.local_offset = kData, .remote_offset = kData, .bytes = kBytes});
        mine.signal(
            track,
            kVictim,
            {.counter_offset = 8 * static_cast<std::uint64_t>(mine.rank() / 2), .value = value});
      }
    };
    EXPECT_THROW(send_for_ever(), PeerLost);
    EXPECT_THAT(mine.end().why_lost(kVictim), HasSubstr("rank 1"));

    const int other = 2 - mine.rank();
    const int to_other = mine.open_track(other);
    mine.signal(to_other, other, {.counter_offset = 16, .value = 9});
    mine.wait_for(16, 9);
    mine.poll_until([&] { return mine.end().is_quiet(); });
    // The other may still need this end's polls to become quiet, and the bootstrap died with rank
    // 1.
    mine.signal(to_other, other, {.counter_offset = 24, .value = 1});
    mine.wait_for(24, 1);
  });
  EXPECT_EQ(exits[0], test::kSuccess);
  EXPECT_EQ(exits[kVictim].signal, SIGKILL);
  EXPECT_EQ(exits[2], test::kSuccess);
}

INSTANTIATE_TEST_SUITE_P(Backends,
                         TransportProcesses,
                         ::testing::ValuesIn(test::process_transport_backends()),
                         test::backend_name);

TEST(InprocTransport, IsRefusedBetweenProcesses) {
  EXPECT_THAT(test::run_ranks(2,
                              [](Bootstrap& bootstrap) {
                                EXPECT_THROW(make_inproc_transport(bootstrap), InvalidArgument);
                              }),
              Each(test::kSuccess));
}

}  // namespace
}  // namespace switchyard::transport
