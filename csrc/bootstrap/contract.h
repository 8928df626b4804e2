// The checks that every carrier makes of its arguments, so that all of them refuse the same
// mistakes in the same words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace switchyard::bootstrap {

/// A bound on the group, far above any machine: it keeps a corrupt number from becoming a huge
/// allocation.
inline constexpr int kMaxRanks = 65'536;

/// Throws InvalidArgument unless 0 <= rank < num_ranks <= kMaxRanks.
void check_rank(int rank, int num_ranks);

/// Throws InvalidArgument unless `all_bytes` is `num_ranks` times `mine_bytes`.
void check_gather_sizes(std::size_t mine_bytes, std::size_t all_bytes, int num_ranks);

/// Throws BootstrapError when the ranks sent different lengths; every rank throws the same words.
/// Shapes: bytes_of_rank [num_ranks]
void check_equal_lengths(std::span<const std::uint64_t> bytes_of_rank);

}  // namespace switchyard::bootstrap
