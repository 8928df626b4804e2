// Everything the roles of one combine on one rank work on: expert outputs it holds, sums it makes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/operation.h"
#include "csrc/protocol/packet.h"
#include "csrc/protocol/row_math.h"
#include "csrc/protocol/row_ranges.h"
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
  const std::int32_t* rows_from = nullptr;  ///< [num_ranks]
  RowRuns runs;                             ///< which rows each source landed
  CopyInLayout copy_in;
  std::uint64_t* copy_in_region =
      nullptr;  ///< heap offset; reserved by the announce role when copy_in needs one
};

/// Where the contributions to this rank's tokens lie. Tables by rank, written by the announce role
/// before flags->placed.
struct Contributions {
  std::uint64_t* rows_at = nullptr;              ///< heap offset of row 0
  std::uint64_t* row_weights_at = nullptr;       ///< 0: none
  std::uint64_t* row_topk_weights_at = nullptr;  ///< 0: none
  const std::int32_t* rows_of_rank = nullptr;    ///< rows that each rank holds, from the dispatch
  const std::int32_t* base = nullptr;            ///< as DispatchPlacement::base
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
  CombineRouting routing;
  CombineOutput output;
  std::int32_t chunk_tokens = 64;

  SY_HOST_DEVICE bool copies_in() const { return experts.copy_in.region_bytes() != 0; }
};

}  // namespace switchyard::protocol
