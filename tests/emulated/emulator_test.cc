// The emulator itself: kernels with one mistake each, which a GPU would answer with wrong bytes or
// silence, and the words in which they are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "tests/emulated/device/error.h"
#include "tests/emulated/device/launch.h"
#include "tests/emulated/support/shared_memory.h"

namespace switchyard::emulated {
namespace {

using testing::HasSubstr;

constexpr std::size_t kStage = 256;

/// Shared memory of the kernels here.
struct Memory {
  std::byte stages[2][kStage];
  std::uint64_t barrier;
};

Memory& memory() {
  return *reinterpret_cast<Memory*>(cuda::shared_memory());
}

/// Global memory that is as large as a stage, and aligned.
struct alignas(64) Row {
  std::byte bytes[kStage + 64];
};

/// Runs a warp; returns what was wrong, or "".
std::string run_warp(const std::function<void()>& kernel, std::uint64_t seed = 1) {
  World world(seed);
  world.set_step_limit(200'000);
  try {
    world.run_all({[&] { launch(world, {1, 32, sizeof(Memory), "test"}, kernel); }});
  } catch (const EmulationError& error) {
    return error.what();
  }
  return "";
}

/// As run_warp, in lane 0 alone, with a barrier of one arrival.
std::string run_lane(const std::function<void()>& body) {
  return run_warp([&] {
    if (threadIdx.x == 0) {
      mbarrier_init(&memory().barrier, 1);
      body();
    }
    __syncwarp();
  });
}

void load(const Row& from, int stage) {
  mbarrier_expect(&memory().barrier, kStage);
  mbarrier_arrive(&memory().barrier);
  bulk_load(memory().stages[stage], from.bytes, kStage, &memory().barrier);
}
void wait_for_load(std::uint32_t parity) {
  while (!mbarrier_test(&memory().barrier, parity)) {
  }
}

TEST(Emulator, RunsAWarpThatMakesNoMistake) {
  Row from{};
  Row to{};
  from.bytes[5] = std::byte{9};
  const auto kernel = [&] {
    load(from, 0);
    wait_for_load(0);
    bulk_store(to.bytes, memory().stages[0], kStage);
    bulk_commit();
    bulk_wait(0);
  };
  EXPECT_EQ(run_lane(kernel), "");
  EXPECT_EQ(to.bytes[5], std::byte{9});
}

TEST(Emulator, NamesLanesThatMeetAtDifferentPlaces) {
  const std::string error = run_warp([] {
    if (threadIdx.x == 3) {
      __syncwarp();
    } else {
      __syncwarp();
    }
  });
  EXPECT_THAT(error, HasSubstr("they went apart"));
  EXPECT_THAT(error, HasSubstr("lane 3"));
}

TEST(Emulator, NamesLanesThatEndedWhileOthersWait) {
  EXPECT_THAT(run_warp([] {
                if (threadIdx.x != 7) {
                  __syncwarp();
                }
              }),
              HasSubstr("lanes 0x80 of its warp have ended"));
}

TEST(Emulator, NamesLanesThatWaitForEachOtherForEver) {
  EXPECT_THAT(run_warp([] {
                if (threadIdx.x == 0) {
                  __syncthreads();
                } else {
                  __syncwarp();
                }
              }),
              HasSubstr("for ever"));
}

TEST(Emulator, ShowsThatLanesRunApartBetweenMeetings) {
  bool apart = false;
  for (std::uint64_t seed = 1; seed <= 20 && !apart; ++seed) {
    std::uint32_t word = 0;
    run_warp(
        [&] {
          if (threadIdx.x == 0) {
            maybe_yield();
            word = 1;
          }
          apart = apart || word == 0;
          __syncwarp();
        },
        seed);
  }
  EXPECT_TRUE(apart);
}

TEST(Emulator, RefusesBulkCopiesThatAreNotAligned) {
  Row row{};
  EXPECT_THAT(run_lane([&] { bulk_store(row.bytes + 8, memory().stages[0], 16); }),
              HasSubstr("not both aligned to 16 bytes"));
  EXPECT_THAT(run_lane([&] { bulk_store(row.bytes, memory().stages[0], 24); }),
              HasSubstr("not a positive multiple of 16"));
  EXPECT_THAT(run_lane([&] { bulk_store(memory().stages[0], row.bytes, 16); }),
              HasSubstr("not in the block's shared memory"));
}

TEST(Emulator, RefusesAStageThatIsUsedTooEarly) {
  Row row{};
  EXPECT_THAT(run_lane([&] {
                bulk_store(row.bytes, memory().stages[0], kStage);
                bulk_commit();
                load(row, 0);
              }),
              HasSubstr("a bulk store of lane 0 may still read it"));
  EXPECT_THAT(run_lane([&] {
                load(row, 0);
                bulk_store(row.bytes, memory().stages[0], kStage);
              }),
              HasSubstr("the load into it was not waited for"));
}

TEST(Emulator, RefusesABarrierThatIsArmedTwice) {
  Row row{};
  EXPECT_THAT(run_lane([&] {
                load(row, 0);
                load(row, 1);
              }),
              HasSubstr("armed again before it was complete"));
}

TEST(Emulator, NamesALaneThatMissedAPhase) {
  Row row{};
  EXPECT_THAT(run_warp([&] {
                if (threadIdx.x == 0) {
                  mbarrier_init(&memory().barrier, 1);
                  for (std::uint32_t phase = 0; phase < 3; ++phase) {
                    load(row, 0);
                    wait_for_load(phase % 2);
                  }
                }
                __syncwarp();
                wait_for_load(0);
              }),
              HasSubstr("takes the end of phase 3 for the next"));
}

TEST(Emulator, RefusesACopyOfWhatNoProxyFenceFollowed) {
  Row row{};
  const auto store = [&](bool fenced) {
    return run_lane([&] {
      reinterpret_cast<uint4*>(memory().stages[0])[1] = uint4{1, 2, 3, 4};
      if (fenced) {
        fence_proxy(/*shared=*/true, /*global=*/false);
      }
      bulk_store(row.bytes, memory().stages[0], kStage);
      bulk_commit();
      bulk_wait(0);
    });
  };
  EXPECT_THAT(store(false), HasSubstr("stored there without a proxy fence"));
  EXPECT_EQ(store(true), "");
}

TEST(Emulator, RefusesACopyBehindAnAcquireThatNoProxyFenceFollowed) {
  Row row{};
  EXPECT_THAT(run_lane([&] {
                note_acquire();
                load(row, 0);
              }),
              HasSubstr("no proxy fence behind the last acquire"));
}

TEST(Emulator, RefusesAReleaseOfWhatIsUnderWay) {
  Row row{};
  std::uint64_t word = 0;
  EXPECT_THAT(run_lane([&] {
                bulk_store(row.bytes, memory().stages[0], kStage);
                bulk_commit();
                note_release(&word);
              }),
              HasSubstr("are under way"));
  EXPECT_THAT(run_lane([&] {
                bulk_store(row.bytes, memory().stages[0], kStage);
                bulk_commit();
                bulk_wait(0);
                note_release(&word);
              }),
              HasSubstr("no proxy fence of lane 0 behind its bulk stores"));
}

TEST(Emulator, RefusesAReleaseThatNoMeetingOrdersBehindTheStoresOfOtherLanes) {
  std::uint64_t word = 0;
  const auto publish = [&](bool meets) {
    std::array<std::uint32_t, 32> row{};
    return run_warp([&] {
      note_store(&row[threadIdx.x], sizeof(std::uint32_t));
      if (meets) {
        __syncwarp();
      }
      if (threadIdx.x == 5) {
        note_release(&word);
      }
      __syncwarp();
    });
  };
  EXPECT_THAT(publish(false), HasSubstr("no meeting orders them"));
  EXPECT_EQ(publish(true), "");
}

TEST(Emulator, RefusesABlockThatEndsBeforeItsCopies) {
  Row row{};
  EXPECT_THAT(run_lane([&] {
                bulk_store(row.bytes, memory().stages[0], kStage);
                bulk_commit();
              }),
              HasSubstr("the block ends"));
}

TEST(Emulator, ShowsGarbageToWhoReadsAStageBeforeItsLoad) {
  Row row{};
  std::byte seen{0};
  run_lane([&] {
    load(row, 0);
    seen = memory().stages[0][kStage - 1];
    wait_for_load(0);
  });
  EXPECT_NE(seen, std::byte{0});
}

TEST(Emulator, TakesTheSameStepsForTheSameSeed) {
  const auto trace_of = [](std::uint64_t seed) {
    std::vector<unsigned> trace;
    run_warp(
        [&] {
          for (int i = 0; i < 20; ++i) {
            maybe_yield();
            trace.push_back(threadIdx.x);
          }
        },
        seed);
    return trace;
  };
  EXPECT_EQ(trace_of(3), trace_of(3));
  EXPECT_NE(trace_of(3), trace_of(4));
}

}  // namespace
}  // namespace switchyard::emulated
