// Metadata written by hand, with the check that its sender would have made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/row_ranges.h"

namespace switchyard::test {

/// Makes the words of every row that `source` landed add up as they must. Counts, bases and region
/// are known already.
inline void seal_metadata(const protocol::DispatchArgs& args, int source) {
  const protocol::DispatchLanding& tables = args.landing;
  const bool per_expert = args.problem.row_per_expert();
  const protocol::RowRuns runs{per_expert ? tables.counts_from : tables.rows_from,
                               tables.base_from,
                               args.problem.bases_per_rank()};
  const protocol::LandingLayout landing = args.landing_of(*tables.num_rows);
  protocol::RowWalk walk;
  walk.start(runs, source, 0, tables.rows_from[source]);
  walk.advance(runs, tables.rows_from[source], [&](std::int64_t first, std::int64_t rows) {
    for (std::int64_t row = first; row < first + rows; ++row) {
      std::byte* at = args.op.peers.local(*tables.region) +
                      landing.metadata_offset(static_cast<std::uint64_t>(row));
      auto* words = reinterpret_cast<std::uint32_t*>(at);
      std::uint32_t& check = words[offsetof(protocol::MetadataHeader, check) / sizeof(*words)];
      check = 0;
      const std::uint32_t num_words =
          args.problem.packet.metadata_bytes() / std::uint32_t{sizeof(*words)};
      check = args.op.metadata_sum(source) - std::accumulate(words, words + num_words, 0U);
    }
  });
}

}  // namespace switchyard::test
