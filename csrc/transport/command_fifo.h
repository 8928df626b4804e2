// The queue from one role to the proxy, in memory that both reach (host-mapped, for a GPU), and the
// pusher's side of it, for every target. One pusher and one popper each, so neither needs an atomic
// read-modify-write, and the pusher crosses the bus once for each command. The proxy's side is in
// command_popper.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/transport/command.h"

namespace switchyard::transport {

/// Plain data, handed to both sides by value. It owns nothing.
///
///     | popped, on a line of its own | slot 0 | slot 1 | ... | slot capacity - 1 |
struct CommandFifo {
  static constexpr std::size_t kHeaderBytes = 64;

  std::byte* memory = nullptr;  ///< 64-byte aligned, all zero when the FIFO is new
  std::uint64_t capacity = 0;   ///< commands; a power of two

  SY_HOST_DEVICE static constexpr std::size_t bytes(std::uint64_t capacity) {
    return kHeaderBytes + capacity * sizeof(CommandWords);
  }
  /// How many commands the popper has taken: written by it, read by the pusher.
  SY_HOST_DEVICE std::uint64_t* popped() const { return reinterpret_cast<std::uint64_t*>(memory); }
  SY_HOST_DEVICE CommandWords* slot(std::uint64_t count) const {
    return reinterpret_cast<CommandWords*>(memory + kHeaderBytes) + (count & (capacity - 1));
  }
  /// The lap bit of the `count`-th command: set in laps 0, 2, 4, ..., so that zeroes are no
  /// commands of the first lap, and those of each lap none of the next.
  SY_HOST_DEVICE std::uint64_t lap(std::uint64_t count) const {
    return (count & capacity) == 0 ? CommandBits::kLapBit : 0;
  }
};

/// A pusher's side: one role, or whoever steps it. `Memory` is how the target touches the FIFO:
///     std::uint64_t load_acquire(const std::uint64_t*);
///     void store_release(CommandWords* to, CommandWords words);   // one 16-byte store on a GPU
struct CommandPusher {
  CommandFifo fifo;
  std::uint64_t pushed = 0;
  std::uint64_t popped_seen = 0;  ///< looked up again only when the FIFO seems full

  /// False, and nothing happened, when the FIFO is full.
  /// Ordering: a release: the proxy that sees the command sees what was stored before it, the bytes
  ///           to put above all. Pairs with the acquire in CommandPopper::peek.
  template <class Memory>
  SY_HOST_DEVICE bool try_push(Memory& memory, const Command& command) {
    if (pushed - popped_seen == fifo.capacity) {
      // Pairs with the release in CommandPopper::publish: the popper has read the slots that it
      // gave back before they are written again.
      popped_seen = memory.load_acquire(fifo.popped());
      if (pushed - popped_seen == fifo.capacity) {
        return false;
      }
    }
    CommandWords words = encode(command);
    const std::uint64_t lap = fifo.lap(pushed);
    words.first |= lap;
    words.second |= lap;
    memory.store_release(fifo.slot(pushed), words);
    ++pushed;
    return true;
  }
};

}  // namespace switchyard::transport
