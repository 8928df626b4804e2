// The modelled network, and a small producer and consumer over it: slots, a tail and a head, as the
// scale-out roles have them. Whatever the network does, the consumer reads what was sent, in order,
// or both stop and say whom they wait for.
#include "csrc/targets/sim/network.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <random>
#include <string>

#include "csrc/protocol/progress.h"
#include "csrc/targets/sim/sim_warp.h"
#include "tests/support/seeds.h"

namespace switchyard::test {
namespace {

using protocol::Progress;
using protocol::Word;

constexpr std::size_t kSlotBytes = 16;
constexpr std::uint32_t kNumChunks = 12;
/// Counters only grow, and must not care where they are.
constexpr Word kFirst = (Word{1} << 63U) - 5;

/// Both ends of a track. Memory of rank 1: the slots and the tail; of rank 0: staging and the head.
struct Ends {
  std::byte* slots;
  std::byte* staging;
  Word* tail;
  Word* head;
  std::uint32_t capacity;
};

class Producer {
 public:
  explicit Producer(const Ends& ends) : ends_(ends) {}

  Progress step(sim::SimWarp& warp) {
    if (sent_ == kNumChunks) {
      return Progress::kDone;
    }
    // Pairs with the consumer's signal: the slot, and the staging behind it, may be used again.
    const Word head = warp.load_acquire(ends_.head);
    if (kFirst + sent_ - head >= ends_.capacity) {
      return Progress::kBlocked;
    }
    const std::size_t at = sent_ % ends_.capacity * kSlotBytes;
    const std::array<std::uint32_t, 4> words{sent_, ~sent_, sent_ * 3, 7};
    warp.store_words(ends_.staging + at, words.data(), 4);
    warp.put({0, 1, 0}, ends_.slots + at, ends_.staging + at, kSlotBytes);
    warp.signal({0, 1, 0}, ends_.tail, 1);
    ++sent_;
    return Progress::kAdvanced;
  }

 private:
  Ends ends_;
  std::uint32_t sent_ = 0;
};

class Consumer {
 public:
  explicit Consumer(const Ends& ends) : ends_(ends) {}

  Progress step(sim::SimWarp& warp) {
    if (taken_ == kNumChunks) {
      return Progress::kDone;
    }
    // Pairs with the producer's signal: the chunk is there.
    const Word tail = warp.load_acquire(ends_.tail);
    if (tail == kFirst + taken_) {
      return Progress::kBlocked;
    }
    const auto* words =
        reinterpret_cast<const std::uint32_t*>(ends_.slots + taken_ % ends_.capacity * kSlotBytes);
    if (warp.load_word(words) != taken_ || warp.load_word(words + 1) != ~taken_) {
      throw sim::ModelViolation("chunk " + std::to_string(taken_) + " is not what was sent");
    }
    warp.signal({1, 0, 0}, ends_.head, 1);
    ++taken_;
    return Progress::kAdvanced;
  }

 private:
  Ends ends_;
  std::uint32_t taken_ = 0;
};

enum class End : std::uint8_t { kRight, kStopped, kWrong };

End run(std::uint64_t seed, std::uint32_t capacity, const sim::NetworkOptions& options) {
  sim::Heaps heaps({2, 1, 2, 1}, 1U << 16U);
  sim::WeakMemory memory(heaps, seed);
  sim::Network network(memory, seed, options);
  std::array<sim::SimWarp, 2> warps{sim::SimWarp(memory, 0, "producer"),
                                    sim::SimWarp(memory, 1, "consumer")};
  const Ends ends{heaps.peers(1).local(heaps.allocate(1, 4096)),
                  heaps.peers(0).local(heaps.allocate(0, 4096)),
                  reinterpret_cast<Word*>(heaps.peers(1).local(heaps.control().progress(0, 0, 0))),
                  reinterpret_cast<Word*>(heaps.peers(0).local(heaps.control().progress(0, 1, 0))),
                  capacity};
  *ends.tail = *ends.head = kFirst;
  Producer producer(ends);
  Consumer consumer(ends);
  for (sim::SimWarp& warp : warps) {
    warp.attach(network);
  }
  std::mt19937_64 random(seed);
  int idle = 0;
  bool done[2] = {false, false};
  try {
    while (idle < 200 && !(done[0] && done[1])) {
      bool changed = false;
      switch (random() % 4) {
        case 0:
          changed = network.deliver_one();
          break;
        case 1:
          changed = memory.publish_one(static_cast<int>(random() % 2));
          break;
        default: {
          const auto rank = random() % 2;
          const Progress progress = rank == 0 ? producer.step(warps[0]) : consumer.step(warps[1]);
          done[rank] = progress == Progress::kDone;
          changed = progress == Progress::kAdvanced;
        }
      }
      idle = changed ? 0 : idle + 1;
    }
  } catch (const sim::ModelViolation&) {
    return End::kWrong;
  }
  if (!done[1] && network.num_lost() == 0) {
    return End::kWrong;  // stuck, and nothing explains it
  }
  return done[1] ? End::kRight : End::kStopped;
}

TEST(Network, DeliversInOrderWhateverOverTakesWhatDownToOneSlot) {
  for_each_seed(2000, [](std::uint64_t seed) {
    EXPECT_EQ(run(seed, 1 + seed % 4, {}), End::kRight) << "seed " << seed;
  });
}

TEST(Network, DropsWhatArrivesTwice) {
  for_each_seed(2000, [](std::uint64_t seed) {
    EXPECT_EQ(run(seed, 1 + seed % 4, {.duplicate = 0.3}), End::kRight) << "seed " << seed;
  });
}

TEST(Network, StopsRatherThanBeWrongWhenAMessageIsLost) {
  int num_stopped = 0;
  for_each_seed(2000, [&](std::uint64_t seed) {
    const End end = run(seed, 1 + seed % 4, {.lose = 0.05, .duplicate = 0.1});
    EXPECT_NE(end, End::kWrong) << "seed " << seed;
    num_stopped += end == End::kStopped ? 1 : 0;
  });
  EXPECT_GT(num_stopped, 10);
}

/// Seeds, of 100, in which the consumer read something wrong.
int num_wrong(std::uint32_t capacity, const sim::NetworkOptions& options) {
  int count = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    count += run(seed, capacity, options) == End::kWrong ? 1 : 0;
  }
  return count;
}

TEST(NetworkControl, IsNoticedWhenSignalsPassPuts) {
  EXPECT_GT(num_wrong(4, {.signals_pass_puts = true}), 10);
}

TEST(NetworkControl, IsNoticedWhenDuplicatesTakeEffect) {
  EXPECT_GT(num_wrong(2, {.duplicate = 0.3, .takes_duplicates = true}), 10);
}

}  // namespace
}  // namespace switchyard::test
