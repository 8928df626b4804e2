// Everything the roles of one combine on one rank work on: expert outputs it holds, sums it makes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/operation.h"
#include "csrc/protocol/packet.h"
#include "csrc/protocol/row_math.h"
#include "csrc/protocol/row_ranges.h"
#include "csrc/protocol/scale_out_tokens.h"
#include "csrc/protocol/warp.h"

namespace switchyard::protocol {

/// Agreed by all ranks (except num_tokens).
struct CombineProblem {
  std::int32_t num_tokens = 0;
  std::int32_t topk = 0;
  std::int32_t experts_per_rank = 0;
  std::uint32_t hidden = 0;       ///< elements
  std::uint32_t row_bytes = 0;    ///< of x and of the sums
  std::uint32_t num_entries = 1;  ///< weights per row in row_topk_weights
  DType dtype = DType::kBf16;
  CopyHint copy_hint = CopyHint::kStream;
  bool row_per_expert = false;
  bool sums_topk_weights = false;
};

/// What this rank copies into its heap so that peers can read it.
/// Units: bytes from the region's start.
struct CopyInLayout {
  std::uint64_t num_rows = 0;
  std::uint32_t row_bytes = 0;    ///< 0: the rows lie in the heap already
  std::uint32_t num_weights = 0;  ///< fp32 per row: 1 with row weights
  std::uint32_t num_entries = 0;  ///< fp32 per row: row_topk_weights

  SY_HOST_DEVICE constexpr std::uint64_t row_weights_offset() const {
    return round_up(num_rows * row_bytes, kBlockAlignment);
  }
  SY_HOST_DEVICE constexpr std::uint64_t row_topk_weights_offset() const {
    return row_weights_offset() + round_up(num_rows * num_weights * sizeof(float), kRowUnit);
  }
  SY_HOST_DEVICE constexpr std::uint64_t region_bytes() const {
    return row_topk_weights_offset() + round_up(num_rows * num_entries * sizeof(float), kRowUnit);
  }
};

/// Expert outputs of this rank, one row per landed row. Units: strides in bytes.
struct ExpertOutputs {
  const std::byte* x = nullptr;
  std::uint64_t x_stride = 0;
  std::uint64_t heap_offset =
      kNoRegion;  ///< where x lies in the heap, contiguous; kNoRegion: elsewhere
  const float* row_weights = nullptr;  ///< [rows]
  const float* row_topk_weights = nullptr;
  std::uint64_t row_topk_weights_stride = 0;
  const std::int32_t* rows_from = nullptr;  ///< [num_sources]
  RowRuns runs;                             ///< which rows each source landed
  CopyInLayout copy_in;
  std::uint64_t* copy_in_region =
      nullptr;  ///< heap offset; reserved by the announce role when copy_in needs one
};

/// Where the contributions of this node's ranks lie. Tables by peer, written by the announce role
/// before flags->placed.
struct Contributions {
  std::uint64_t* rows_at = nullptr;              ///< heap offset of row 0
  std::uint64_t* row_weights_at = nullptr;       ///< 0: none
  std::uint64_t* row_topk_weights_at = nullptr;  ///< 0: none
  const std::int32_t* rows_of_rank = nullptr;    ///< rows that each rank holds, from the dispatch
  const std::int32_t* base = nullptr;            ///< as DispatchPlacement::base
};

/// What the dispatch left of RelayTables. Null with one node.
struct RelayedCounts {
  const std::int32_t* packets = nullptr;
  const std::int32_t* rows = nullptr;
};

/// The route of the dispatch; entries [num_tokens][topk].
struct CombineRouting {
  const std::int32_t* expert = nullptr;
  const std::int32_t* rank = nullptr;
  const std::uint8_t* opener = nullptr;
  const std::int32_t* ordinal = nullptr;
  const std::uint8_t* terms = nullptr;
  const std::uint8_t* num_terms = nullptr;
  const float* topk_weights = nullptr;  ///< null: not weighted by the tokens' rank
  bool has_duplicates = false;
};

/// The sums of this rank. Units: strides in bytes.
struct CombineOutput {
  std::byte* out = nullptr;  ///< the caller's memory, when region_bytes is 0
  std::uint64_t region_bytes = 0;
  std::uint64_t* region = nullptr;  ///< heap offset of the sums, reserved by the announce role
  std::uint64_t out_stride = 0;
  const std::byte* biases[kMaxBiases] = {nullptr, nullptr};
  std::uint64_t bias_strides[kMaxBiases] = {0, 0};
  std::int32_t num_biases = 0;
  std::byte* topk_weights = nullptr;  ///< fp32 rows, [num_tokens][topk] contiguous
};

struct CombineArgs {
  OperationArgs op;
  CombineProblem problem;
  ExpertOutputs experts;
  Contributions contributions;
  RelayedCounts relay;
  CombineRouting routing;
  CombineOutput output;
  std::int32_t chunk_tokens = 64;
  std::int32_t chunk_packets = 16;     ///< that leave for another node with one put
  std::uint64_t previous_combine = 0;  ///< number of the combine before on this buffer, 0 for none

  SY_HOST_DEVICE bool copies_in() const { return experts.copy_in.region_bytes() != 0; }
  /// Entries of a base table for all ranks of this node.
  SY_HOST_DEVICE std::int32_t bases_per_node() const {
    return op.peers.num_ranks * (problem.row_per_expert ? problem.experts_per_rank : 1);
  }
  SY_HOST_DEVICE EntryTables entries() const {
    return {routing.expert,
            routing.rank,
            routing.opener,
            routing.ordinal,
            routing.topk_weights,
            problem.topk,
            problem.experts_per_rank,
            routing.has_duplicates};
  }
  SY_HOST_DEVICE RailPacketLayout rail_packet() const {
    return {0, 0, static_cast<std::uint32_t>(problem.topk)};
  }
  SY_HOST_DEVICE RailSumLayout rail_sum() const {
    return {problem.row_bytes,
            problem.sums_topk_weights ? static_cast<std::uint32_t>(problem.topk) : 0U};
  }
  /// What this rank asks other nodes to sum.
  SY_HOST_DEVICE ScaleOutTokens scale_out() const {
    ScaleOutTokens tokens;
    tokens.entries = entries();
    tokens.packet = rail_packet();
    tokens.num_tokens = problem.num_tokens;
    tokens.chunk_packets = chunk_packets;
    return tokens;
  }
  SY_HOST_DEVICE RouteBounds route_bounds(int node) const {
    return {op.peers.num_ranks,
            problem.experts_per_rank,
            problem.row_per_expert,
            relay.rows + std::int64_t{node} * bases_per_node()};
  }
};

}  // namespace switchyard::protocol
