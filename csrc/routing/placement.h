// From the counts of all sources to where each source's rows begin at one destination. Pure
// functions over plain arrays, compiled for host and device, so that the count exchange runs them
// on any target.
#pragma once

#include <cstdint>

#include "csrc/protocol/host_device.h"

namespace switchyard::routing {

/// Rank-major: rows of source s begin where the rows of the sources before it end.
/// Shapes: rows_from [num_ranks] in; base_from [num_ranks] out
/// Returns the number of rows.
SY_HOST_DEVICE inline std::int64_t place_rank_major(const std::int32_t* rows_from,
                                                    int num_ranks,
                                                    std::int32_t* base_from) {
  std::int64_t next = 0;
  for (int source = 0; source < num_ranks; ++source) {
    base_from[source] = static_cast<std::int32_t>(next);
    next += rows_from[source];
  }
  return next;
}

/// Expert-major: experts in order, each beginning at a multiple of `alignment`; within an expert,
/// sources in order.
/// Shapes: counts_from [num_ranks][experts_per_rank] in; base_from the same shape out;
///         expert_offsets [experts_per_rank + 1] out Returns the number of rows with padding, also
///         in the last expert offset.
SY_HOST_DEVICE inline std::int64_t place_expert_major(const std::int32_t* counts_from,
                                                      int num_ranks,
                                                      int experts_per_rank,
                                                      int alignment,
                                                      std::int32_t* base_from,
                                                      std::int64_t* expert_offsets) {
  std::int64_t next = 0;
  for (int expert = 0; expert < experts_per_rank; ++expert) {
    next = (next + alignment - 1) / alignment * alignment;
    expert_offsets[expert] = next;
    for (int source = 0; source < num_ranks; ++source) {
      base_from[source * experts_per_rank + expert] = static_cast<std::int32_t>(next);
      next += counts_from[source * experts_per_rank + expert];
    }
  }
  next = (next + alignment - 1) / alignment * alignment;
  expert_offsets[experts_per_rank] = next;
  return next;
}

/// Padded: the fixed first place of (local expert, source).
SY_HOST_DEVICE constexpr std::int64_t padded_base(int local_expert,
                                                  int source,
                                                  int num_ranks,
                                                  int max_tokens) {
  return (std::int64_t{local_expert} * num_ranks + source) * max_tokens;
}

}  // namespace switchyard::routing
