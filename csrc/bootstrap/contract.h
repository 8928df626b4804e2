// The checks that every carrier makes of its arguments, so that all of them refuse the same
// mistakes in the same words.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace switchyard::bootstrap {

/// A bound on the group, far above any machine: it keeps a corrupt number from becoming a huge
/// allocation.
inline constexpr int kMaxRanks = 65'536;

/// Throws InvalidArgument unless 0 <= rank < num_ranks <= kMaxRanks.
void check_rank(int rank, int num_ranks);

/// Throws InvalidArgument unless `all_bytes` is `num_ranks` times `mine_bytes`.
void check_gather_sizes(std::size_t mine_bytes, std::size_t all_bytes, int num_ranks);

// What every carrier says of a gather that failed.

std::string length_mismatch_message(int rank, std::uint64_t got_bytes, std::uint64_t wanted_bytes);

/// That message for the first rank whose length is not rank 0's; empty when there is none.
/// Shapes: bytes_of_rank [num_ranks]
std::string length_problem(std::span<const std::uint64_t> bytes_of_rank);

std::string left_message(int rank);

/// Shapes: ranks [at least 1]
std::string late_message(std::span<const int> ranks, std::chrono::milliseconds timeout);

/// "rank 3", "ranks 3, 5", or the first few and how many more there are.
/// Shapes: ranks [at least 1]
std::string describe_ranks(std::span<const int> ranks);

}  // namespace switchyard::bootstrap
