// The device memory of one dispatch and of the combines along its route: the route of this rank's
// tokens and the tables of placement. One description, from which host and kernels take every
// place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/combine_args.h"
#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/host_device.h"
#include "csrc/protocol/packet.h"

namespace switchyard::cuda {

struct WorkspaceShape {
  std::int32_t num_tokens = 0;
  std::int32_t topk = 0;
  std::int32_t num_experts = 0;
  std::int32_t num_ranks = 1;
  bool row_per_expert = false;
  bool has_lost = false;  ///< entries may name experts of ranks that are no members

  SY_HOST_DEVICE constexpr std::int32_t experts_per_rank() const { return num_experts / num_ranks; }
  SY_HOST_DEVICE constexpr std::int64_t num_entries() const {
    return std::int64_t{num_tokens} * topk;
  }
  SY_HOST_DEVICE constexpr std::int32_t bases_per_rank() const {
    return row_per_expert ? experts_per_rank() : 1;
  }
};

/// Pointers into one block of memory. T, K, N, E: tokens, top-k, ranks, experts; B: bases per rank.
struct Workspace {
  // The route (routing::Route says what each means): [T][K]
  std::int32_t* expert = nullptr;
  std::int32_t* rank = nullptr;
  std::int32_t* ordinal = nullptr;
  float* weight = nullptr;
  std::uint8_t* opener = nullptr;
  std::uint8_t* terms = nullptr;
  std::uint8_t* num_terms = nullptr;          ///< [T]
  std::uint8_t* lost = nullptr;               ///< [T][K], null where none can be
  std::int32_t* rows_per_rank = nullptr;      ///< [N]
  std::int32_t* tokens_per_expert = nullptr;  ///< [E]
  // Placement of this rank's rows, and of those that come.
  std::uint64_t* region_of_rank = nullptr;  ///< [N]
  std::int32_t* rows_of_rank = nullptr;     ///< [N]
  std::int32_t* base = nullptr;             ///< [N][B]
  std::int32_t* rows_from = nullptr;        ///< [N]
  std::int32_t* counts_from = nullptr;      ///< [N][E / N]
  std::int32_t* base_from = nullptr;        ///< [N][B]
  std::int64_t* expert_offsets = nullptr;   ///< [E / N + 1]
  std::int64_t* num_rows = nullptr;
  std::uint32_t* guard = nullptr;  ///< 1: the dispatch failed, and the tables are anything
  std::uint64_t* region = nullptr;
  // Of a combine along the route.
  std::uint64_t* rows_at = nullptr;              ///< [N]
  std::uint64_t* row_weights_at = nullptr;       ///< [N]
  std::uint64_t* row_topk_weights_at = nullptr;  ///< [N]
  std::uint64_t* copy_in_region = nullptr;
  std::uint64_t* out_region = nullptr;
  float* combine_weights = nullptr;  ///< [T][K]

  /// Lays everything out from `memory` on; returns the bytes used. With memory null, only measures.
  SY_HOST_DEVICE std::uint64_t place(const WorkspaceShape& shape, std::byte* memory) {
    Cursor at{memory, 0};
    const std::int64_t entries = shape.num_entries();
    const std::int64_t ranks = shape.num_ranks;
    const std::int64_t bases = ranks * shape.bases_per_rank();
    at.take(expert, entries);
    at.take(rank, entries);
    at.take(ordinal, entries);
    at.take(weight, entries);
    at.take(combine_weights, entries);
    at.take(opener, entries);
    at.take(terms, entries);
    at.take(num_terms, shape.num_tokens);
    if (shape.has_lost) {
      at.take(lost, entries);
    }
    at.take(rows_per_rank, ranks);
    at.take(tokens_per_expert, shape.num_experts);
    at.take(region_of_rank, ranks);
    at.take(rows_of_rank, ranks);
    at.take(base, bases);
    at.take(rows_from, ranks);
    at.take(counts_from, shape.num_experts);
    at.take(base_from, bases);
    at.take(expert_offsets, shape.experts_per_rank() + 1);
    at.take(num_rows, 1);
    at.take(guard, 1);
    at.take(region, 1);
    at.take(rows_at, ranks);
    at.take(row_weights_at, ranks);
    at.take(row_topk_weights_at, ranks);
    at.take(copy_in_region, 1);
    at.take(out_region, 1);
    return at.used;
  }

 private:
  static constexpr std::uint64_t kAlignment = 256;

  struct Cursor {
    std::byte* memory;
    std::uint64_t used;

    template <class T>
    SY_HOST_DEVICE void take(T*& pointer, std::int64_t count) {
      pointer = memory == nullptr ? nullptr : reinterpret_cast<T*>(memory + used);
      used += protocol::round_up(static_cast<std::uint64_t>(count) * sizeof(T), kAlignment);
    }
  };
};

}  // namespace switchyard::cuda
