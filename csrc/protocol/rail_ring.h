// The two ends of a track between a rank and its rail peer on another node: a ring of packets in the
// consumer's memory, its mirror in the producer's, a tail and a head. All three count bytes, in 64
// bits, and only grow, from one operation to the next; packets of one operation have one size, and
// none lies across the end of the ring. Operations take turns on a track in their order.
//
//   producer  fills packets of its mirror, puts them, and signals the tail        (publish)
//   consumer  reads packets behind its position, and signals the head            (credit)
//   producer  may fill while what the consumer has not read fits the ring       (has_room)
#pragma once

#include <cstdint>

#include "csrc/protocol/operation.h"
#include "csrc/protocol/rail_layout.h"
#include "csrc/protocol/warp.h"

namespace switchyard::protocol {

/// Which track.
struct RingName {
  std::int32_t node = 0;
  std::int32_t channel = 0;
  RingKind kind = RingKind::kPackets;
};

/// Where a packet of `bytes` begins that comes at `position` or soon after.
SY_HOST_DEVICE constexpr std::uint64_t place_packet(std::uint64_t position,
                                                    std::uint64_t bytes,
                                                    std::uint64_t ring_bytes) {
  const std::uint64_t offset = position % ring_bytes;
  return offset + bytes <= ring_bytes ? position : position + (ring_bytes - offset);
}

/// Whose turn it is on one end, and its way from one operation to the next.
class RingTurn {
 public:
  RingTurn() = default;
  /// `previous`: number of the operation that has the track before this one, 0 for none.
  SY_HOST_DEVICE RingTurn(RingEnd* end, std::uint64_t previous) : end_(end), previous_(previous) {}

  /// Ordering: pairs with pass(), by the same role of an earlier operation.
  template <Warp W>
  SY_HOST_DEVICE bool is_mine(W& warp, std::uint64_t& position) {
    seen_ = warp.load_acquire(&end_->turn);
    if (seen_ != previous_) {
      return false;
    }
    position = warp.load_relaxed(&end_->position);
    return true;
  }

  template <Warp W>
  SY_HOST_DEVICE void pass(W& warp, std::uint64_t number, std::uint64_t position) {
    warp.store_relaxed(&end_->position, position);
    warp.store_release(&end_->turn, number);  // pairs with is_mine()
  }

  SY_HOST_DEVICE WaitPoint wait_point(std::int32_t channel) const {
    return {WaitKind::kLocalRole, -1, channel, previous_, seen_};
  }

 private:
  RingEnd* end_ = nullptr;
  std::uint64_t previous_ = 0;
  std::uint64_t seen_ = 0;
};

/// What both ends of a track have: which it is, whose turn, and how far this operation has come.
class RingSide {
 public:
  template <Warp W>
  SY_HOST_DEVICE void end(W& warp) {
    turn_.pass(warp, op_->number, position_);
  }

  SY_HOST_DEVICE WaitPoint turn_wait() const { return turn_.wait_point(name_.channel); }

 protected:
  RingSide() = default;
  SY_HOST_DEVICE RingSide(const OperationArgs* op,
                          const RingName& name,
                          std::uint64_t packet_bytes,
                          const RingTurn& turn)
      : op_(op), name_(name), packet_bytes_(packet_bytes), turn_(turn) {}

  SY_HOST_DEVICE static RingEnds& ends_of(const OperationArgs& op, const RingName& name) {
    return op.ring_ends[op.rails().ring_index(name.node, name.channel, name.kind)];
  }
  SY_HOST_DEVICE std::uint64_t ring_bytes() const { return op_->control.ring_bytes; }
  /// Position of the packet behind the last one.
  SY_HOST_DEVICE std::uint64_t next_packet() const {
    return place_packet(position_, packet_bytes_, ring_bytes());
  }
  SY_HOST_DEVICE const Word* counter(std::uint64_t offset) const {
    return reinterpret_cast<const Word*>(op_->peers.local(offset));
  }

  const OperationArgs* op_ = nullptr;
  RingName name_;
  std::uint64_t packet_bytes_ = 0;
  RingTurn turn_;
  std::uint64_t position_ = 0;  // behind the last packet that was filled, or taken
};

class RingProducer : public RingSide {
 public:
  RingProducer() = default;
  SY_HOST_DEVICE RingProducer(const OperationArgs* op,
                              const RingName& name,
                              std::uint64_t previous,
                              std::uint64_t packet_bytes)
      : RingSide(op, name, packet_bytes, RingTurn(&ends_of(*op, name).producer, previous)) {}

  /// Begins, when operations before this one are done with the track.
  template <RailWarp W>
  SY_HOST_DEVICE bool begin(W& warp) {
    if (!turn_.is_mine(warp, position_)) {
      return false;
    }
    unpublished_ = position_;
    look(warp);
    return true;
  }

  /// Whether one more packet can be filled before the next publish().
  template <RailWarp W>
  SY_HOST_DEVICE bool has_room(W& warp) {
    const std::uint64_t at = next_packet();
    if (num_unpublished_ != 0 && (at != position_ || at % ring_bytes() == 0)) {
      return false;  // goes with the next put: this one ends at the ring's end
    }
    if (!fits(at)) {
      look(warp);
    }
    return fits(at);
  }

  /// Takes the packet that has_room() spoke of.
  SY_HOST_DEVICE std::byte* fill() {
    const std::uint64_t at = next_packet();
    if (num_unpublished_ == 0) {
      unpublished_ = at;
    }
    position_ = at + packet_bytes_;
    ++num_unpublished_;
    return op_->peers.local(op_->rails().ring_out(name_.node, name_.channel, name_.kind) +
                            at % ring_bytes());
  }

  SY_HOST_DEVICE std::int32_t num_unpublished() const { return num_unpublished_; }

  /// Sends what was filled: one put. False when the way to the network is full.
  /// Ordering: a release at the other node; pairs with RingConsumer::look
  template <RailWarp W>
  SY_HOST_DEVICE bool publish(W& warp) {
    const RailLayout rails = op_->rails();
    const int here = op_->place.node;
    const std::uint64_t offset = unpublished_ % ring_bytes();
    const RailPut put{rails.ring_out(name_.node, name_.channel, name_.kind) + offset,
                      rails.ring_in(here, name_.channel, name_.kind) + offset,
                      position_ - unpublished_,
                      rails.tail(here, name_.channel, name_.kind),
                      position_};
    if (!warp.put(packet_track(name_.node, name_.channel, name_.kind), put)) {
      return false;
    }
    num_unpublished_ = 0;
    return true;
  }

  SY_HOST_DEVICE WaitPoint room_wait() const {
    return {WaitKind::kCredit,
            op_->rail_peer(name_.node),
            name_.channel,
            position_ + packet_bytes_ - ring_bytes(),
            head_};
  }

 private:
  /// What is unread fits with a packet at `at`; or nothing is unread, and a gap before `at` is no
  /// packet's.
  SY_HOST_DEVICE bool fits(std::uint64_t at) const {
    return at + packet_bytes_ - head_ <= ring_bytes() || head_ == position_;
  }

  template <RailWarp W>
  SY_HOST_DEVICE void look(W& warp) {
    // Pairs with RingConsumer::credit: the packets before were read, and their mirror has been sent.
    head_ = warp.load_acquire(counter(op_->rails().head(name_.node, name_.channel, name_.kind)));
  }

  std::uint64_t unpublished_ = 0;  // the first packet that was filled and not sent
  std::uint64_t head_ = 0;
  std::int32_t num_unpublished_ = 0;
};

class RingConsumer : public RingSide {
 public:
  RingConsumer() = default;
  SY_HOST_DEVICE RingConsumer(const OperationArgs* op,
                              const RingName& name,
                              std::uint64_t previous,
                              std::uint64_t packet_bytes)
      : RingSide(op, name, packet_bytes, RingTurn(&ends_of(*op, name).consumer, previous)) {}

  /// Begins, when operations before this one are done with the track.
  template <RailWarp W>
  SY_HOST_DEVICE bool begin(W& warp) {
    if (!turn_.is_mine(warp, position_)) {
      return false;
    }
    tail_ = position_;
    credited_ = position_;
    return true;
  }

  /// Whether the next packet is there.
  template <RailWarp W>
  SY_HOST_DEVICE bool has_packet(W& warp) {
    const std::uint64_t end = next_packet() + packet_bytes_;
    if (tail_ < end) {
      look(warp);
    }
    return tail_ >= end;
  }

  /// The producer says that it has put more than there is room for: nothing it says can be followed.
  /// Beside a full ring there may be a gap, smaller than a packet.
  SY_HOST_DEVICE bool is_overrun() const {
    return tail_ - credited_ > ring_bytes() + packet_bytes_;
  }

  /// The packet that has_packet() spoke of; it stays until take().
  SY_HOST_DEVICE const std::byte* packet() const {
    const std::uint64_t at = next_packet();
    return op_->peers.local(op_->rails().ring_in(name_.node, name_.channel, name_.kind) +
                            at % ring_bytes());
  }
  /// Goes to the next packet. The one before may be read until credit().
  SY_HOST_DEVICE void take() { position_ = next_packet() + packet_bytes_; }

  SY_HOST_DEVICE bool owes_credit() const { return credited_ != position_; }

  /// Gives back what was taken. False when the way to the network is full.
  /// Ordering: a release at the other node; pairs with RingProducer::look
  template <RailWarp W>
  SY_HOST_DEVICE bool credit(W& warp) {
    if (!warp.signal(credit_track(name_.node, name_.channel, name_.kind),
                     op_->rails().head(op_->place.node, name_.channel, name_.kind),
                     position_)) {
      return false;
    }
    credited_ = position_;
    return true;
  }

  SY_HOST_DEVICE WaitPoint packet_wait(WaitKind kind) const {
    return {kind, op_->rail_peer(name_.node), name_.channel, position_ + packet_bytes_, tail_};
  }

 private:
  template <RailWarp W>
  SY_HOST_DEVICE void look(W& warp) {
    // Pairs with RingProducer::publish: every packet before the tail is there.
    tail_ = warp.load_acquire(counter(op_->rails().tail(name_.node, name_.channel, name_.kind)));
  }

  std::uint64_t tail_ = 0;
  std::uint64_t credited_ = 0;
};

}  // namespace switchyard::protocol
