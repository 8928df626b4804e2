#include "csrc/transport/command_fifo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <thread>

#include "csrc/transport/command_popper.h"
#include "switchyard/error.h"
#include "tests/support/fifo_memory.h"

namespace switchyard::transport {
namespace {

Command some_put(std::uint64_t idx) {
  return {.track = static_cast<std::uint32_t>(idx % 5),
          .remote_offset = 8 * idx,
          .local_offset = 16 * idx,
          .bytes = 16};
}

TEST(Command, ComesBackFromItsWordsWhateverItsFields) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 10'000; ++round) {
    Command command;
    command.kind = random() % 2 == 0 ? CommandKind::kPut : CommandKind::kSignal;
    command.track = static_cast<std::uint32_t>(random() % kMaxCommandTracks);
    command.remote_offset = random() % (std::uint64_t{1} << 37U) * 8;
    if (command.kind == CommandKind::kSignal) {
      command.value = random() >> 2U;
    } else {
      command.bytes = random() % (kMaxCommandBytes / 16 + 1) * 16;
      command.local_offset = random() % (std::uint64_t{1} << 36U) * 16;
    }
    const CommandWords words = encode(command);
    EXPECT_EQ((words.first | words.second) & CommandBits::kLapBit, 0U);
    ASSERT_EQ(decode(words), command);
    // The lap bits are nobody's but the FIFO's.
    ASSERT_EQ(decode({words.first | CommandBits::kLapBit, words.second | CommandBits::kLapBit}),
              command);
  }
}

TEST(Command, IsRefusedWhenAFieldDoesNotFit) {
  const std::uint64_t tib = std::uint64_t{1} << 40U;
  for (const Command& command :
       {Command{.remote_offset = 4},
        Command{.remote_offset = tib},
        Command{.track = kMaxCommandTracks},
        Command{.bytes = 8},
        Command{.bytes = kMaxCommandBytes + 16},
        Command{.local_offset = 8},
        Command{.local_offset = tib},
        Command{.kind = CommandKind::kSignal, .value = std::uint64_t{1} << 62U}}) {
    EXPECT_THROW(encode(command), Error);
  }
}

TEST(CommandFifo, GivesCommandsInOrderOverManyLaps) {
  const test::FifoMemory memory(8);
  CommandPusher pusher{memory.fifo()};
  CommandPopper popper(memory.fifo());
  HostFifoMemory host;
  CommandWords words;
  EXPECT_FALSE(popper.peek(words));
  for (std::uint64_t idx = 0; idx < 100; ++idx) {
    ASSERT_TRUE(pusher.try_push(host, some_put(idx)));
    if (idx % 3 != 2) {
      continue;
    }
    for (std::uint64_t back = 3; back > 0; --back) {
      ASSERT_TRUE(popper.peek(words));
      EXPECT_EQ(decode(words), some_put(idx + 1 - back));
      popper.pop();
    }
    ASSERT_FALSE(popper.peek(words));
    popper.publish();
  }
}

TEST(CommandFifo, RefusesWhenFullUntilSlotsAreGivenBack) {
  const test::FifoMemory memory(4);
  CommandPusher pusher{memory.fifo()};
  CommandPopper popper(memory.fifo());
  HostFifoMemory host;
  for (std::uint64_t idx = 0; idx < 4; ++idx) {
    EXPECT_TRUE(pusher.try_push(host, some_put(idx)));
  }
  EXPECT_FALSE(pusher.try_push(host, some_put(4)));
  popper.pop();
  EXPECT_FALSE(pusher.try_push(host, some_put(4)));  // popped, but not given back
  popper.publish();
  EXPECT_TRUE(pusher.try_push(host, some_put(4)));
  EXPECT_FALSE(pusher.try_push(host, some_put(5)));
}

TEST(CommandFifo, ShowsNoCommandOfWhichOnlyOneWordHasArrived) {
  for (const bool first_word_first : {true, false}) {
    const test::FifoMemory memory(2);
    CommandPusher pusher{memory.fifo()};
    CommandPopper popper(memory.fifo());
    HostFifoMemory host;
    CommandWords words;
    for (std::uint64_t idx = 0; idx < 6; ++idx) {
      CommandWords* slot = memory.fifo().slot(idx);
      const CommandWords before = *slot;
      ASSERT_TRUE(pusher.try_push(host, some_put(idx)));
      const CommandWords whole = *slot;
      *slot = first_word_first ? CommandWords{whole.first, before.second}
                               : CommandWords{before.first, whole.second};
      EXPECT_FALSE(popper.peek(words)) << "lap " << idx / 2;
      *slot = whole;
      ASSERT_TRUE(popper.peek(words));
      EXPECT_EQ(decode(words), some_put(idx));
      popper.pop();
      popper.publish();
    }
  }
}

TEST(CommandFifo, CarriesWhatWasStoredBeforeAPushToWhoeverPops) {
  constexpr std::uint64_t kCommands = 20'000;
  const test::FifoMemory memory(16);
  std::array<std::uint64_t, 64> payload{};
  std::thread producer([&] {
    CommandPusher pusher{memory.fifo()};
    HostFifoMemory host;
    for (std::uint64_t idx = 0; idx < kCommands; ++idx) {
      // A slot of the payload is free again when its command's FIFO slot is: 16 behind.
      while (pusher.pushed - host.load_acquire(memory.fifo().popped()) >= 16) {
        std::this_thread::yield();
      }
      payload[idx % payload.size()] = idx;
      ASSERT_TRUE(pusher.try_push(host, some_put(idx)));
    }
  });
  CommandPopper popper(memory.fifo());
  CommandWords words;
  for (std::uint64_t idx = 0; idx < kCommands; ++idx) {
    while (!popper.peek(words)) {
      std::this_thread::yield();
    }
    EXPECT_EQ(decode(words), some_put(idx));
    EXPECT_EQ(payload[idx % payload.size()], idx);
    popper.pop();
    popper.publish();
  }
  producer.join();
}

}  // namespace
}  // namespace switchyard::transport
