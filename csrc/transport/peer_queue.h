// Commands that wait for one peer, in order, so that a peer whose window is full holds up nobody
// else's. Neighbours meet here, and are merged.
#pragma once

#include <cstdint>
#include <vector>

#include "csrc/transport/command.h"

namespace switchyard::transport {

class PeerQueue {
 public:
  /// Commands that wait for one peer; what does not fit stays in its FIFO and holds that up.
  /// derived: the window full of 16-KiB chunks, each with its signal. Too small is a slow-down, no
  /// more.
  static constexpr std::uint64_t kCapacity = 512;

  PeerQueue() : commands_(kCapacity) {}

  [[nodiscard]] bool is_empty() const { return begin_ == end_; }
  [[nodiscard]] bool is_full() const { return end_ - begin_ == kCapacity; }
  [[nodiscard]] std::uint64_t size() const { return end_ - begin_; }
  [[nodiscard]] const Command& front() const { return commands_[begin_ % kCapacity]; }
  void pop() { ++begin_; }
  void clear() { begin_ = end_; }

  void push(const Command& command) { commands_[end_++ % kCapacity] = command; }

  /// Merges a put into the last command when it is the put just before it, in both memories and in
  /// its track, and both together have at most `max_bytes`. Nothing of the track lies between them,
  /// so no signal passes or is passed.
  bool try_merge(const Command& command, std::uint64_t max_bytes) {
    if (is_empty()) {
      return false;
    }
    Command& last = commands_[(end_ - 1) % kCapacity];
    const bool is_neighbour = last.kind == CommandKind::kPut && command.kind == CommandKind::kPut &&
                              last.track == command.track &&
                              last.local_offset + last.bytes == command.local_offset &&
                              last.remote_offset + last.bytes == command.remote_offset;
    if (!is_neighbour || last.bytes + command.bytes > max_bytes) {
      return false;
    }
    last.bytes += command.bytes;
    return true;
  }

 private:
  std::vector<Command> commands_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace switchyard::transport
