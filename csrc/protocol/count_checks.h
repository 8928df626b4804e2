// What a rank must find in counts and answers before it computes or writes anything by them: they
// come from outside.
#pragma once

#include <cstdint>

#include "csrc/protocol/dispatch_args.h"

namespace switchyard::protocol {

/// Whether the counts of `source` fit together and into their places.
/// `counted_rows`: the sum of its tokens for each expert, each read as unsigned
SY_HOST_DEVICE inline bool counts_are_sound(const DispatchArgs& args,
                                            int source,
                                            std::uint64_t counted_rows) {
  const DispatchProblem& problem = args.problem;
  const std::int32_t rows = args.landing.rows_from[source];
  const std::int32_t* counts = args.landing.counts_from + source * problem.experts_per_rank;
  bool sound = rows >= 0 && static_cast<std::uint64_t>(rows) <= counted_rows &&
               counted_rows <= static_cast<std::uint64_t>(INT32_MAX);
  for (int expert = 0; expert < problem.experts_per_rank; ++expert) {
    const bool fits = problem.layout != Layout::kPadded || counts[expert] <= problem.max_tokens;
    sound = sound && counts[expert] >= 0 && fits;
  }
  if (problem.row_per_expert()) {
    sound = sound && static_cast<std::uint64_t>(rows) == counted_rows;
  }
  return sound;
}

/// Where `peer` says that this rank's rows begin.
SY_HOST_DEVICE inline std::int32_t* own_bases(const DispatchArgs& args, int peer) {
  return args.placement.base_of(args.op.place.node, args.bases_per_node()) +
         peer * args.problem.bases_per_rank();
}

/// Whether the rows that will be written where the answer of `peer` says lie within its heap and its
/// own landing.
SY_HOST_DEVICE inline bool answer_is_sound(const DispatchArgs& args, int peer) {
  const int rank = args.op.rank_of(peer);
  const std::int32_t rows = args.placement.rows_of_rank[peer];
  const std::uint64_t begin = args.placement.region_of_rank[peer];
  bool sound = rows >= 0 && begin >= args.op.control.block_bytes() &&
               begin + args.landing_of(rows).region_bytes() <= args.op.peers.end_of_heap();
  const std::int32_t num_bases = args.problem.bases_per_rank();
  for (std::int32_t i = 0; i < num_bases; ++i) {
    const std::int32_t base = own_bases(args, peer)[i];
    const std::int32_t count =
        args.problem.row_per_expert()
            ? args.routing.tokens_per_expert[rank * args.problem.experts_per_rank + i]
            : args.routing.rows_per_rank[rank];
    sound = sound && base >= 0 && base <= rows - count;
  }
  return sound;
}

}  // namespace switchyard::protocol
