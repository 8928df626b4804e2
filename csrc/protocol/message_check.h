// Checks against damage on the way. A bit that flips in a message may leave a value that could be,
// so whoever writes a message adds a number made of all of it, and whoever reads it makes the
// number again.
#pragma once

#include <cstdint>

#include "csrc/protocol/host_device.h"

namespace switchyard::protocol {

/// What a message is. Part of its check, as are its epoch, its source and its destination, so that
/// no message passes for another one. Metadata names no destination: one number for all rows that a
/// source writes in an operation.
enum class MessageKind : std::uint32_t {
  kHello = 1,
  kAnswer,
  kPermit,
  kNextPermit,
  kProgress,
  kMetadata,
  kRailHello,
  kVerdict,
  kPacket,
  kSum,
};

/// The check of a message whose values are added one by one.
/// Every step is a bijection of the state, and of the value added: two messages that differ in one
/// value alone, be it the epoch, have different checks. Any single flipped bit is noticed; other
/// damage, but once in some 2^32.
class MessageCheck {
 public:
  MessageCheck() = default;
  SY_HOST_DEVICE constexpr MessageCheck(MessageKind kind,
                                        std::uint32_t epoch,
                                        int source,
                                        int destination) {
    add(static_cast<std::uint32_t>(kind));
    add(epoch);
    add(static_cast<std::uint32_t>(source));
    add(static_cast<std::uint32_t>(destination));
  }

  SY_HOST_DEVICE constexpr void add(std::uint32_t value) { state_ = mix(state_ ^ value); }
  SY_HOST_DEVICE constexpr std::uint32_t value() const { return state_; }

 private:
  /// Odd factors and shifted xors can be undone.
  SY_HOST_DEVICE static constexpr std::uint32_t mix(std::uint32_t bits) {
    bits ^= bits >> 15U;
    bits *= 0x85ebca6bU;
    bits ^= bits >> 13U;
    bits *= 0xc2b2ae35U;
    return bits ^ (bits >> 16U);
  }

  std::uint32_t state_ = 0;
};

}  // namespace switchyard::protocol
