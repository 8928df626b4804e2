// Where each token goes: generators of top-k choices, and recorded traces. The same (specification,
// seed, rank) gives the same choices on every machine: own conversions from random bits, no
// distributions of the standard library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/common/workload.h"

namespace switchyard::bench {

/// The choices of one rank's tokens.
/// Shapes: topk_idx and topk_weights [num_tokens][topk]
struct RankRouting {
  int num_tokens = 0;
  int topk = 0;
  std::vector<std::int64_t> topk_idx;  ///< global experts, -1 for none
  std::vector<float> topk_weights;  ///< positive, of each token sum about 1; 0 where topk_idx is -1
  std::string notice;  ///< for people: a trace that was too short and wrapped; else empty
};

/// Choices of `rank` under workload.routing:
///   uniform            topk distinct experts, all sets alike
///   grouped[:<g>,<k>]  DeepSeek's node-limited gate: random scores; experts in g groups (8),
///   groups ranked by the sum of
///                      their two best scores, the best k groups kept (4), the best topk experts
///                      within
///   zipf:<s>           distinct experts drawn with probability ~ 1/i^s, ids shuffled by the seed
///   (the same on all ranks) masked[:<p>]       uniform; each entry -1 with probability p (0.25),
///   one token in 16 wholly -1 file:<path.npy>    a recorded [tokens, topk] trace, int32 or int64,
///   C order; rows dealt to ranks in order, from the
///                      start again when there are too few (with a notice)
/// Errors: InvalidArgument naming the specification, got, wanted; for a trace the file and its
/// first bad entry
RankRouting make_routing(const Workload& workload, int rank);

/// The choices of every rank, in rank order.
std::vector<RankRouting> make_all_routing(const Workload& workload);

/// One line per known specification, for --help.
std::string routing_help();

}  // namespace switchyard::bench
