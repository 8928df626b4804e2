#include "csrc/bootstrap/contract.h"

#include <fmt/format.h>

#include <algorithm>

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

std::string length_mismatch_message(int rank, std::uint64_t got_bytes, std::uint64_t wanted_bytes) {
  return fmt::format(
      "all_gather: rank {} sent {} bytes, wanted {} as rank 0 sent; every rank must make the same "
      "sequence of collective calls with the same sizes",
      rank,
      got_bytes,
      wanted_bytes);
}

std::string describe_ranks(std::span<const int> ranks) {
  constexpr std::size_t kMostNamed = 8;
  const std::span<const int> named = ranks.first(std::min(ranks.size(), kMostNamed));
  std::string text = ranks.size() == 1 ? "rank" : "ranks";
  for (std::size_t i = 0; i < named.size(); ++i) {
    text += fmt::format("{} {}", i == 0 ? "" : ",", named[i]);
  }
  if (ranks.size() > named.size()) {
    text += fmt::format(" and {} more", ranks.size() - named.size());
  }
  return text;
}

std::string length_problem(std::span<const std::uint64_t> bytes_of_rank) {
  for (std::size_t rank = 1; rank < bytes_of_rank.size(); ++rank) {
    if (bytes_of_rank[rank] != bytes_of_rank[0]) {
      return length_mismatch_message(static_cast<int>(rank), bytes_of_rank[rank], bytes_of_rank[0]);
    }
  }
  return {};
}

std::string left_message(int rank) {
  return fmt::format(
      "all_gather: rank {} has left the group (its process ended or its bootstrap was destroyed); "
      "see "
      "its own error",
      rank);
}

std::string late_message(std::span<const int> ranks, std::chrono::milliseconds timeout) {
  return fmt::format(
      "all_gather: {} did not come within {} ms; check that every rank runs and makes "
      "the same collective calls",
      describe_ranks(ranks),
      timeout.count());
}

}  // namespace switchyard::bootstrap
