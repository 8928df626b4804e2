// The one description of a token on the wire and in memory. Sender, receiver, allocator and tests
// compute every offset from here, so that they cannot disagree.
//
//   packet   | payload | scales | metadata |          each part a multiple of 16 bytes
//   landing  | payload [rows] | scales [rows] | metadata [rows] |    each block on a page
//   metadata | source_rank | source_token | check | payload_row | topk_idx [entries] | weights
//   [entries] | pad |
#pragma once

#include <cstdint>

#include "csrc/protocol/host_device.h"
#include "switchyard/layout.h"

namespace switchyard::protocol {

inline constexpr std::uint32_t kPartAlignment = 16;  ///< bulk copies need it
inline constexpr std::uint64_t kBlockAlignment = 4096;

SY_HOST_DEVICE constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Words at the front of every row's metadata.
struct MetadataHeader {
  std::int32_t source_rank;
  std::int32_t source_token;
  /// Makes all words of the row's metadata add up to OperationArgs::metadata_sum.
  std::uint32_t check;
  std::int32_t payload_row;  ///< row of this landing that holds the payload; another row's when
                             ///< copies are made here
};
static_assert(sizeof(MetadataHeader) == 16);

/// Largest metadata of one row: header, 32 entries of int64 index and fp32 weight.
inline constexpr std::uint32_t kMaxMetadataBytes = sizeof(MetadataHeader) + kMaxTopk * (8 + 4);
static_assert(kMaxMetadataBytes % kPartAlignment == 0);
/// Largest metadata of a row that belongs to one expert.
inline constexpr std::uint32_t kOneEntryMetadataBytes =
    static_cast<std::uint32_t>(round_up(sizeof(MetadataHeader) + 8 + 4, kPartAlignment));

/// Sizes of one packet's parts. Units: bytes.
struct PacketLayout {
  std::uint32_t payload_bytes = 0;  ///< hidden * element bytes
  std::uint32_t scales_bytes = 0;   ///< as stored; the meaningful ones first
  std::uint32_t index_bytes = 4;    ///< 4 or 8: the caller's index type
  std::uint32_t num_entries = 1;  ///< top-k for rank-major rows, 1 when a row belongs to one expert

  SY_HOST_DEVICE constexpr std::uint32_t indices_offset() const { return sizeof(MetadataHeader); }
  SY_HOST_DEVICE constexpr std::uint32_t weights_offset() const {
    return indices_offset() + num_entries * index_bytes;
  }
  SY_HOST_DEVICE constexpr std::uint32_t metadata_bytes() const {
    return static_cast<std::uint32_t>(round_up(weights_offset() + num_entries * 4, kPartAlignment));
  }
  SY_HOST_DEVICE constexpr std::uint32_t scales_offset() const { return payload_bytes; }
  SY_HOST_DEVICE constexpr std::uint32_t metadata_offset() const {
    return scales_offset() + scales_bytes;
  }
  SY_HOST_DEVICE constexpr std::uint32_t packet_bytes() const {
    return metadata_offset() + metadata_bytes();
  }
};

/// Where the parts of each row lie in a landing region of `num_rows` rows.
/// Units: bytes from the region's start.
struct LandingLayout {
  PacketLayout packet;
  std::uint64_t num_rows = 0;

  SY_HOST_DEVICE constexpr std::uint64_t payload_offset(std::uint64_t row) const {
    return row * packet.payload_bytes;
  }
  SY_HOST_DEVICE constexpr std::uint64_t scales_offset(std::uint64_t row) const {
    return round_up(payload_offset(num_rows), kBlockAlignment) + row * packet.scales_bytes;
  }
  SY_HOST_DEVICE constexpr std::uint64_t metadata_offset(std::uint64_t row) const {
    return round_up(scales_offset(num_rows), kBlockAlignment) + row * packet.metadata_bytes();
  }
  SY_HOST_DEVICE constexpr std::uint64_t region_bytes() const {
    return round_up(metadata_offset(num_rows), kBlockAlignment);
  }
};

}  // namespace switchyard::protocol
