// The host's sides of a command FIFO: the proxy's, and how a role on the host pushes.
#pragma once

#include <atomic>
#include <cstdint>

#include "csrc/transport/command_fifo.h"

namespace switchyard::transport {

/// How the host pushes.
struct HostFifoMemory {
  [[nodiscard]] std::uint64_t load_acquire(std::uint64_t* from) const {
    return std::atomic_ref<std::uint64_t>(*from).load(std::memory_order_acquire);
  }
  void store_release(CommandWords* to, CommandWords words) const {
    std::atomic_ref<std::uint64_t>(to->first).store(words.first, std::memory_order_relaxed);
    std::atomic_ref<std::uint64_t>(to->second).store(words.second, std::memory_order_release);
  }
};

/// The proxy's side.
class CommandPopper {
 public:
  explicit CommandPopper(const CommandFifo& fifo) : fifo_(fifo) {}

  /// Whether a command is there; it stays there until pop().
  [[nodiscard]] bool peek(CommandWords& words) const {
    CommandWords* slot = fifo_.slot(popped_);
    const std::uint64_t lap = fifo_.lap(popped_);
    // Pairs with the release of the push. A GPU's 16 bytes may show as two words in either order:
    // the command is whole when both are of this lap.
    words.second = std::atomic_ref<std::uint64_t>(slot->second).load(std::memory_order_acquire);
    words.first = std::atomic_ref<std::uint64_t>(slot->first).load(std::memory_order_acquire);
    return ((words.first ^ lap) & CommandBits::kLapBit) == 0 &&
           ((words.second ^ lap) & CommandBits::kLapBit) == 0;
  }
  void pop() { ++popped_; }
  /// Gives the popped slots back: once for a batch, since the pusher must fetch the line.
  void publish() {
    std::atomic_ref<std::uint64_t>(*fifo_.popped()).store(popped_, std::memory_order_release);
  }

 private:
  CommandFifo fifo_;
  std::uint64_t popped_ = 0;
};

}  // namespace switchyard::transport
