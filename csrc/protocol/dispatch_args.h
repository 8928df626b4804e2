// Everything the roles of one dispatch on one rank work on: problem, input, routing, placement,
// landing, output.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/operation.h"
#include "csrc/protocol/packet.h"
#include "csrc/protocol/rail_packet.h"
#include "csrc/protocol/row_math.h"
#include "csrc/protocol/scale_out_tokens.h"
#include "switchyard/layout.h"

namespace switchyard::protocol {

/// Agreed by all ranks (except num_tokens).
struct DispatchProblem {
  std::int32_t num_tokens = 0;
  std::int32_t topk = 0;
  std::int32_t num_experts = 0;
  std::int32_t experts_per_rank = 0;
  std::int32_t max_tokens = 0;  ///< padded: places per (expert, source)
  std::int32_t expert_alignment = 1;
  std::uint32_t hidden = 0;  ///< elements, for quantisation
  Layout layout = Layout::kRankMajor;
  ScaleFormat quantize = ScaleFormat::kNone;
  ExpertCopies expert_copies = ExpertCopies::kBySender;
  CopyHint copy_hint = CopyHint::kStream;
  bool zero_padding = false;
  bool counted_before = false;  ///< a handle is given: counts and bases are known
  PacketLayout packet;

  SY_HOST_DEVICE bool row_per_expert() const { return layout != Layout::kRankMajor; }
  /// Entries of a (source rank) row of base tables: one, or one per local expert.
  SY_HOST_DEVICE std::int32_t bases_per_rank() const {
    return row_per_expert() ? experts_per_rank : 1;
  }
};

/// This rank's tokens. Units: strides in bytes.
struct DispatchInput {
  const std::byte* x = nullptr;
  std::uint64_t x_stride = 0;
  const std::byte* scales = nullptr;  ///< null: none, or made by quantisation
  std::uint64_t scales_stride = 0;
  std::uint32_t scales_words = 0;  ///< meaningful 32-bit words of a row's scales
};

/// The route (routing::Route) as plain pointers; entries [num_tokens][topk].
struct DispatchRouting {
  const std::int32_t* expert = nullptr;
  const std::int32_t* rank = nullptr;
  const std::uint8_t* opener = nullptr;
  const std::int32_t* ordinal = nullptr;
  const float* weight = nullptr;                    ///< null: not weighted
  const std::int32_t* rows_per_rank = nullptr;      ///< [num_sources]
  const std::int32_t* tokens_per_expert = nullptr;  ///< [num_experts]
  bool has_duplicates = false;
  /// [num_nodes][num_channels] tokens of each channel for each node; null with one node
  const std::int32_t* packets = nullptr;
};

/// Where the rows go that this rank writes to its node: its own, and those of the ranks that it
/// stands for. Its own row of `base`, and the rest, are written by the count exchange before
/// flags->placed; the other rows of `base` by the node relay before flags->relayed.
struct DispatchPlacement {
  std::uint64_t* region_of_rank = nullptr;  ///< [num_ranks] heap offset
  std::int32_t* rows_of_rank = nullptr;     ///< [num_ranks] rows of that region
  std::int32_t* base = nullptr;  ///< [num_nodes][num_ranks][bases_per_rank] a source's first rows

  SY_HOST_DEVICE std::int32_t* base_of(int node, std::int32_t bases_per_node) const {
    return base + std::int64_t{node} * bases_per_node;
  }
};

/// What ranks of other nodes send through this one. Written by the node relay before
/// flags->relayed; tables by node, that of this node unused. Null with one node.
struct RelayTables {
  std::int32_t* packets = nullptr;  ///< [num_nodes][num_channels] to come
  std::int32_t* rows = nullptr;  ///< [num_nodes][num_ranks][bases_per_rank] for each rank or expert

  SY_HOST_DEVICE std::int32_t* rows_of(int node, std::int32_t bases_per_node) const {
    return rows + std::int64_t{node} * bases_per_node;
  }
};

/// What this rank gets. Written by the count exchange before flags->counted.
struct DispatchLanding {
  std::int32_t* rows_from = nullptr;       ///< [num_sources]
  std::int32_t* counts_from = nullptr;     ///< [num_sources][experts_per_rank]
  std::int32_t* base_from = nullptr;       ///< [num_sources][bases_per_rank]
  std::int64_t* expert_offsets = nullptr;  ///< [experts_per_rank + 1]; not for rank-major
  std::int64_t* num_rows = nullptr;
  std::uint64_t* region = nullptr;  ///< heap offset, kNoRegion until there is one
  /// Compact layouts: the landing is laid out for so many rows where fewer come, for a caller who
  /// cannot wait for their number; 0: for those that come.
  std::int64_t fixed_rows = 0;
};

/// The caller's memory for the rows; null: views of the heap. Units: strides in bytes.
struct DispatchOutput {
  std::byte* x = nullptr;
  std::uint64_t x_stride = 0;
  std::byte* scales = nullptr;
  std::uint64_t scales_stride = 0;
  std::int64_t capacity_rows = 0;  ///< the smaller of the two tensors
};

struct PaddedArgs {
  std::uint32_t signature = 0;       ///< hash of the landing's shape
  std::uint32_t previous_epoch = 0;  ///< padded dispatch before this one, 0 for none
  /// Region that this rank offered when that one's rows were released; kNoRegion: none that fits.
  std::uint64_t offered_region = ~std::uint64_t{0};
};

/// Rank-major: rows of one channel for one destination follow each other, so their metadata is
/// gathered and stored in runs of whole lines. One store per row would miss the cache each time and
/// hold up the payload behind it. measured: deepseek-v3-train, 4 ranks on 2 cores, 1024 tokens: row
/// by row 3.74 ms a dispatch, without metadata 3.20 ms.
struct MetadataRun {
  std::int32_t first_row = 0;
  std::int32_t num_rows = 0;
};
struct MetadataStaging {
  /// [num_channels][num_sources]; null: every row's metadata is stored at once. Not for warps of
  /// several lanes, each of which would count the rows of a run.
  MetadataRun* runs = nullptr;
  std::byte* bytes =
      nullptr;  ///< [num_channels][num_sources][run_rows][metadata bytes], 16-byte aligned
  std::int32_t run_rows = 1;
};

struct DispatchArgs {
  OperationArgs op;
  DispatchProblem problem;
  DispatchInput input;
  DispatchRouting routing;
  DispatchPlacement placement;
  RelayTables relay;
  DispatchLanding landing;
  DispatchOutput output;
  PaddedArgs padded;
  MetadataStaging staging;
  std::int32_t chunk_tokens = 64;

  std::int32_t chunk_packets = 16;  ///< that leave for another node with one put

  /// Rows of a padded region.
  SY_HOST_DEVICE std::int64_t padded_rows() const {
    return std::int64_t{problem.experts_per_rank} * op.num_sources() * problem.max_tokens;
  }
  /// Entries of a base table for all ranks of this node.
  SY_HOST_DEVICE std::int32_t bases_per_node() const {
    return op.peers.num_ranks * problem.bases_per_rank();
  }
  SY_HOST_DEVICE EntryTables entries() const {
    return {routing.expert,
            routing.rank,
            routing.opener,
            routing.ordinal,
            routing.weight,
            problem.topk,
            problem.experts_per_rank,
            routing.has_duplicates};
  }
  SY_HOST_DEVICE RailPacketLayout rail_packet() const {
    return {problem.packet.payload_bytes,
            problem.packet.scales_bytes,
            static_cast<std::uint32_t>(problem.topk)};
  }
  SY_HOST_DEVICE ScaleOutTokens scale_out() const {
    return {entries(),
            rail_packet(),
            problem.num_tokens,
            chunk_packets,
            input.x,
            input.x_stride,
            input.scales,
            input.scales_stride,
            input.scales_words,
            problem.hidden,
            problem.quantize,
            problem.copy_hint};
  }
  SY_HOST_DEVICE RouteBounds route_bounds(int node) const {
    return {op.peers.num_ranks,
            problem.experts_per_rank,
            problem.row_per_expert(),
            relay.rows_of(node, bases_per_node())};
  }
  SY_HOST_DEVICE LandingLayout landing_of(std::int64_t num_rows) const {
    return {problem.packet, static_cast<std::uint64_t>(num_rows)};
  }
};

}  // namespace switchyard::protocol
