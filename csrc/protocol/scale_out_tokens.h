// What a rank sends to other nodes in one operation: tokens with their rows, or only what is to be
// summed for them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/rail_packet.h"
#include "csrc/protocol/row_math.h"
#include "csrc/protocol/token_entries.h"

namespace switchyard::protocol {

/// Units: strides in bytes.
struct ScaleOutTokens {
  EntryTables entries;
  RailPacketLayout packet;
  std::int32_t num_tokens = 0;
  std::int32_t chunk_packets = 1;  ///< that go with one put
  const std::byte* x = nullptr;    ///< null: the packet has no payload
  std::uint64_t x_stride = 0;
  const std::byte* scales = nullptr;  ///< null: none, or made by quantisation
  std::uint64_t scales_stride = 0;
  std::uint32_t scales_words = 0;
  std::uint32_t hidden = 0;  ///< elements, for quantisation
  ScaleFormat quantize = ScaleFormat::kNone;
  CopyHint copy_hint = CopyHint::kStream;
};

}  // namespace switchyard::protocol
