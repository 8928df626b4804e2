// The memory map of the rails: what a rank keeps, behind the mailboxes of its node, for each other
// node. Only its rail peer there writes it, through the network. The same offsets on every rank.
//
//   per node | posts [slots][kinds]: arrival, in, out | per channel and ring: ends, in, out |
//
// A *post* is a mailbox that travels whole: written to `out` here, put to `in` there, and there once
// `arrival` holds the number of its operation. A *ring* is the memory of a track: packets follow
// each other in it, none across its end; `out` mirrors at the producer what `in` holds at the
// consumer.
#pragma once

#include <cstdint>

#include "csrc/protocol/host_device.h"
#include "csrc/protocol/packet.h"

namespace switchyard::protocol {

enum class PostKind : std::uint8_t {
  kHello = 0,    ///< what a rank has for a node
  kVerdict = 1,  ///< whether that node takes it
};
inline constexpr std::uint32_t kNumPostKinds = 2;

enum class RingKind : std::uint8_t {
  kPackets = 0,  ///< from a source to the rank that stands for it: tokens, or what to sum
  kSums = 1,     ///< from that rank back to the source
};
inline constexpr std::uint32_t kNumRingKinds = 2;

/// One ordered stream of puts and signals to this rank's rail peer on another node.
struct RailTrack {
  std::int32_t node = 0;
  std::int32_t index = 0;  ///< below num_rail_tracks()
};

/// Posts have a track of their own, so that they wait for no packet; a ring's credits go the other
/// way on a track of their own for the same reason.
SY_HOST_DEVICE constexpr RailTrack post_track(int node) {
  return {node, 0};
}
SY_HOST_DEVICE constexpr RailTrack packet_track(int node, int channel, RingKind ring) {
  return {node, 1 + 4 * channel + static_cast<std::int32_t>(ring)};
}
SY_HOST_DEVICE constexpr RailTrack credit_track(int node, int channel, RingKind ring) {
  return {node, 3 + 4 * channel + static_cast<std::int32_t>(ring)};
}
SY_HOST_DEVICE constexpr std::int32_t num_rail_tracks(int num_channels) {
  return 1 + 4 * num_channels;
}

struct RailLayout {
  std::uint64_t begin = 0;  ///< heap offset
  std::uint32_t num_nodes = 1;
  std::uint32_t num_slots = 2;
  std::uint32_t num_channels = 1;
  std::uint64_t post_words = 0;  ///< of the longest post
  std::uint64_t ring_bytes = 0;  ///< a multiple of 16

  static constexpr std::uint64_t kLine = 64;

  SY_HOST_DEVICE constexpr std::uint64_t arrival(int node,
                                                 std::uint32_t slot,
                                                 PostKind kind) const {
    return post(node, slot, kind);
  }
  SY_HOST_DEVICE constexpr std::uint64_t post_in(int node,
                                                 std::uint32_t slot,
                                                 PostKind kind) const {
    return post(node, slot, kind) + kLine;
  }
  SY_HOST_DEVICE constexpr std::uint64_t post_out(int node,
                                                  std::uint32_t slot,
                                                  PostKind kind) const {
    return post_in(node, slot, kind) + post_bytes();
  }
  SY_HOST_DEVICE constexpr std::uint64_t post_bytes() const {
    return round_up(post_words * sizeof(std::uint64_t), kLine);
  }

  /// At the consumer: how far the producer has come. Only the network writes it.
  SY_HOST_DEVICE constexpr std::uint64_t tail(int node, int channel, RingKind ring) const {
    return ring_begin(node, channel, ring);
  }
  /// At the producer: how far the consumer has read. Only the network writes it.
  SY_HOST_DEVICE constexpr std::uint64_t head(int node, int channel, RingKind ring) const {
    return ring_begin(node, channel, ring) + kLine;
  }
  SY_HOST_DEVICE constexpr std::uint64_t ring_in(int node, int channel, RingKind ring) const {
    return ring_begin(node, channel, ring) + kRingEndsBytes;
  }
  SY_HOST_DEVICE constexpr std::uint64_t ring_out(int node, int channel, RingKind ring) const {
    return ring_in(node, channel, ring) + round_up(ring_bytes, kLine);
  }
  /// Where rings of all nodes, this one too, have their place in a table; and how many there are.
  SY_HOST_DEVICE constexpr std::uint32_t ring_index(int node, int channel, RingKind ring) const {
    return (static_cast<std::uint32_t>(node) * num_channels + static_cast<std::uint32_t>(channel)) *
               kNumRingKinds +
           static_cast<std::uint32_t>(ring);
  }
  SY_HOST_DEVICE constexpr std::uint32_t num_rings() const {
    return num_nodes == 1 ? 0 : num_nodes * num_channels * kNumRingKinds;
  }
  SY_HOST_DEVICE constexpr std::uint64_t end() const {
    return num_nodes == 1 ? begin : node_begin(static_cast<int>(num_nodes));
  }

 private:
  static constexpr std::uint64_t kRingEndsBytes = 2 * kLine;

  SY_HOST_DEVICE constexpr std::uint64_t post(int node, std::uint32_t slot, PostKind kind) const {
    const std::uint64_t index = slot * kNumPostKinds + static_cast<std::uint32_t>(kind);
    return node_begin(node) + index * (kLine + 2 * post_bytes());
  }
  SY_HOST_DEVICE constexpr std::uint64_t posts_bytes() const {
    return std::uint64_t{num_slots} * kNumPostKinds * (kLine + 2 * post_bytes());
  }
  SY_HOST_DEVICE constexpr std::uint64_t ring_stride() const {
    return kRingEndsBytes + 2 * round_up(ring_bytes, kLine);
  }
  SY_HOST_DEVICE constexpr std::uint64_t ring_begin(int node, int channel, RingKind ring) const {
    const auto index =
        static_cast<std::uint64_t>(channel) * kNumRingKinds + static_cast<std::uint64_t>(ring);
    return node_begin(node) + posts_bytes() + index * ring_stride();
  }
  SY_HOST_DEVICE constexpr std::uint64_t node_begin(int node) const {
    const std::uint64_t bytes =
        posts_bytes() + std::uint64_t{num_channels} * kNumRingKinds * ring_stride();
    return begin + static_cast<std::uint64_t>(node) * bytes;
  }
};

}  // namespace switchyard::protocol
