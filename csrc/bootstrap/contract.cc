#include "csrc/bootstrap/contract.h"

#include <fmt/format.h>

#include "switchyard/error.h"

namespace switchyard::bootstrap {

void check_rank(int rank, int num_ranks) {
  if (num_ranks < 1 || num_ranks > kMaxRanks) {
    throw InvalidArgument(fmt::format("num_ranks: got {}, wanted 1 to {}", num_ranks, kMaxRanks));
  }
  if (rank < 0 || rank >= num_ranks) {
    throw InvalidArgument(fmt::format(
        "rank: got {}, wanted 0 to {} in a group of {} ranks", rank, num_ranks - 1, num_ranks));
  }
}

void check_gather_sizes(std::size_t mine_bytes, std::size_t all_bytes, int num_ranks) {
  const auto count = static_cast<std::size_t>(num_ranks);
  if (all_bytes / count != mine_bytes || all_bytes % count != 0) {
    throw InvalidArgument(
        fmt::format("all_gather: `all` has {} bytes, wanted {} ranks times the {} bytes of `mine`",
                    all_bytes,
                    num_ranks,
                    mine_bytes));
  }
}

void check_equal_lengths(std::span<const std::uint64_t> bytes_of_rank) {
  for (std::size_t rank = 1; rank < bytes_of_rank.size(); ++rank) {
    if (bytes_of_rank[rank] != bytes_of_rank[0]) {
      throw BootstrapError(fmt::format(
          "all_gather: rank {} sent {} bytes, wanted {} as rank 0 sent; every rank must "
          "make the same sequence of collective calls with the same sizes",
          rank,
          bytes_of_rank[rank],
          bytes_of_rank[0]));
    }
  }
}

}  // namespace switchyard::bootstrap
