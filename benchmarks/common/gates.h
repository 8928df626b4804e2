// The generators behind make_routing: each picks the experts of one token after another.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "benchmarks/common/random_bits.h"
#include "benchmarks/common/workload.h"

namespace switchyard::bench {

/// What a gate decides for one token.
/// Shapes: experts and scores [topk]
struct TokenChoice {
  std::span<std::int64_t> experts;  ///< distinct, or -1
  std::span<double> scores;         ///< positive
};

/// Picks the next token's experts. Holds scratch memory: one gate per rank and thread.
using Gate = std::function<void(RandomBits& random, const TokenChoice& choice)>;

/// The gate of a specification other than file:<path> (see make_routing).
/// Errors: InvalidArgument naming the specification, got and wanted
Gate make_gate(const Workload& workload, std::string_view specification);

}  // namespace switchyard::bench
