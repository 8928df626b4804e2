// Both ends of one track as the protocol will use it, stepped like a role, over a proxy's FIFO: a
// producer that fills staging slots, puts chunks and signals its tail, and a consumer that checks
// what came and gives credit.
#pragma once

#include <atomic>
#include <span>
#include <stdexcept>

#include "csrc/transport/command_popper.h"
#include "csrc/transport/proxy.h"
#include "tests/support/transport_rank.h"

namespace switchyard::test {

/// Where one channel with one peer keeps its things in a rank's region.
struct ChannelLayout {
  static constexpr std::uint64_t kSlots = 8;
  std::uint64_t base = 0;
  std::uint64_t slot_bytes = 0;

  [[nodiscard]] std::uint64_t tail() const { return base; }  ///< the peer's producer signals it
  [[nodiscard]] std::uint64_t head() const {
    return base + 64;
  }  ///< the peer's consumer signals it
  [[nodiscard]] std::uint64_t staging(std::uint64_t count) const {
    return base + 128 + count % kSlots * slot_bytes;
  }
  [[nodiscard]] std::uint64_t landing(std::uint64_t count) const {
    return staging(count) + kSlots * slot_bytes;
  }
  [[nodiscard]] std::uint64_t bytes() const { return 128 + 2 * kSlots * slot_bytes; }
};

/// One rank's side of one channel. Never waits: step() does what can be done.
class TrackPlayer {
 public:
  struct Args {
    std::span<std::byte> region;
    ChannelLayout layout;       ///< in this rank's region
    ChannelLayout peer_layout;  ///< in the peer's
    std::uint32_t track = 0;    ///< in the proxy's table
    transport::Completion* completion = nullptr;
    transport::CommandFifo fifo;
    std::uint64_t num_packets = 0;
  };
  explicit TrackPlayer(const Args& args) : args_(args), pusher_{args.fifo} {}

  [[nodiscard]] bool is_done() const {
    return signalled_ == args_.num_packets && credited_ == args_.num_packets;
  }
  /// True when something moved. Throws when bytes are not there although they were signalled.
  bool step() {
    const bool has_produced = produce();
    return consume() || has_produced;
  }

 private:
  bool produce() {
    if (signalled_ != tail_ && (tail_ % kChunk == 0 || tail_ == args_.num_packets)) {
      if (push_signal(args_.peer_layout.tail(), tail_)) {
        signalled_ = tail_;
        return true;
      }
      return false;
    }
    const std::uint64_t completed = load(&args_.completion->bytes);
    const bool has_room = tail_ - load_word(args_.layout.head()) < ChannelLayout::kSlots &&
                          tail_ - completed / args_.layout.slot_bytes < ChannelLayout::kSlots;
    if (tail_ == args_.num_packets || !has_room) {
      return false;
    }
    // Filled again if the FIFO is full: nobody reads the slot before its put is pushed.
    fill_pattern(args_.region.subspan(args_.layout.staging(tail_), args_.layout.slot_bytes), tail_);
    const transport::Command put{.track = args_.track,
                                 .remote_offset = args_.peer_layout.landing(tail_),
                                 .local_offset = args_.layout.staging(tail_),
                                 .bytes = args_.layout.slot_bytes};
    if (!pusher_.try_push(host_, put)) {
      return false;
    }
    ++tail_;
    return true;
  }

  bool consume() {
    const std::uint64_t tail = load_word(args_.layout.tail());
    for (; head_ < tail; ++head_) {
      if (!has_pattern(args_.region.subspan(args_.layout.landing(head_), args_.layout.slot_bytes),
                       head_)) {
        throw std::runtime_error("a packet was signalled before its bytes were there");
      }
    }
    if (credited_ == head_ || !push_signal(args_.peer_layout.head(), head_)) {
      return false;
    }
    credited_ = head_;
    return true;
  }

  bool push_signal(std::uint64_t counter, std::uint64_t value) {
    return pusher_.try_push(host_,
                            {.kind = transport::CommandKind::kSignal,
                             .track = args_.track,
                             .remote_offset = counter,
                             .value = value});
  }
  static std::uint64_t load(std::uint64_t* word) {
    return std::atomic_ref<std::uint64_t>(*word).load(std::memory_order_acquire);
  }
  [[nodiscard]] std::uint64_t load_word(std::uint64_t offset) const {
    return load(reinterpret_cast<std::uint64_t*>(args_.region.data() + offset));
  }

  static constexpr std::uint64_t kChunk = 4;

  Args args_;
  transport::CommandPusher pusher_;
  transport::HostFifoMemory host_;
  std::uint64_t tail_ = 0;
  std::uint64_t signalled_ = 0;
  std::uint64_t head_ = 0;
  std::uint64_t credited_ = 0;
};

}  // namespace switchyard::test
