// Places of landed rows: every row of every source has one, no two have the same, nothing is left
// but alignment.
#include "csrc/routing/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

namespace switchyard::routing {
namespace {

/// Counts [num_ranks][experts_per_rank] and where placement put them.
struct Placed {
  int num_ranks;
  int experts;
  int alignment;
  std::vector<std::int32_t> counts;
  std::vector<std::int32_t> base;
  std::vector<std::int64_t> offsets;
  std::int64_t num_rows = 0;

  [[nodiscard]] std::size_t at(int source, int expert) const {
    return static_cast<std::size_t>(source * experts + expert);
  }
};

Placed place(int num_ranks, int experts, int alignment, std::vector<std::int32_t> counts) {
  Placed placed{num_ranks, experts, alignment, std::move(counts), {}, {}};
  placed.base.assign(placed.counts.size(), -1);
  placed.offsets.assign(static_cast<std::size_t>(experts) + 1, -1);
  placed.num_rows = place_expert_major(placed.counts.data(),
                                       num_ranks,
                                       experts,
                                       alignment,
                                       placed.base.data(),
                                       placed.offsets.data());
  return placed;
}

/// Walks the rows in the order of the contract and expects each block where the last one ended.
void expect_tight(const Placed& placed) {
  std::int64_t next = 0;
  for (int expert = 0; expert < placed.experts; ++expert) {
    while (next % placed.alignment != 0) {
      ++next;
    }
    EXPECT_EQ(placed.offsets[static_cast<std::size_t>(expert)], next);
    for (int source = 0; source < placed.num_ranks; ++source) {
      EXPECT_EQ(placed.base[placed.at(source, expert)], next)
          << "source " << source << " expert " << expert;
      next += placed.counts[placed.at(source, expert)];
    }
  }
  while (next % placed.alignment != 0) {
    ++next;
  }
  EXPECT_EQ(placed.num_rows, next);
  EXPECT_EQ(placed.offsets.back(), next);
}

/// No row is given twice, and what is given to nobody is alignment behind an expert.
void expect_disjoint_and_covering(const Placed& placed) {
  std::vector<int> owners(static_cast<std::size_t>(placed.num_rows), 0);
  for (std::size_t i = 0; i < placed.counts.size(); ++i) {
    for (std::int32_t row = 0; row < placed.counts[i]; ++row) {
      ++owners.at(static_cast<std::size_t>(placed.base[i] + row));
    }
  }
  EXPECT_TRUE(std::all_of(owners.begin(), owners.end(), [](int count) { return count <= 1; }));
  const auto unused = std::count(owners.begin(), owners.end(), 0);
  EXPECT_LE(unused, std::int64_t{placed.experts} * (placed.alignment - 1));
  for (int expert = 0; expert < placed.experts; ++expert) {
    const std::int64_t begin = placed.offsets[static_cast<std::size_t>(expert)];
    EXPECT_EQ(begin % placed.alignment, 0);
    EXPECT_LE(begin, placed.offsets[static_cast<std::size_t>(expert) + 1]);
  }
}

std::vector<std::int32_t> random_counts(std::size_t size, std::mt19937& random) {
  std::vector<std::int32_t> counts(size);
  std::uniform_int_distribution<std::int32_t> count(-5, 20);
  for (std::int32_t& each : counts) {
    each = std::max(0, count(random));
  }
  return counts;
}

TEST(PlaceRankMajor, PutsSourcesOneAfterTheOtherWhenSomeHaveNothing) {
  const std::vector<std::int32_t> rows{3, 0, 5, 0, 1};
  std::vector<std::int32_t> base(5, -1);
  EXPECT_EQ(place_rank_major(rows.data(), 5, base.data()), 9);
  EXPECT_EQ(base, (std::vector<std::int32_t>{0, 3, 3, 8, 8}));
}

TEST(PlaceRankMajor, CoversWithoutOverlapWhenRandom) {
  std::mt19937 random(1);
  for (int ranks = 1; ranks < 40; ++ranks) {
    const std::vector<std::int32_t> rows = random_counts(static_cast<std::size_t>(ranks), random);
    std::vector<std::int32_t> base(rows.size(), -1);
    const std::int64_t total = place_rank_major(rows.data(), ranks, base.data());
    EXPECT_EQ(total, std::accumulate(rows.begin(), rows.end(), std::int64_t{0}));
    std::int64_t next = 0;
    for (std::size_t source = 0; source < rows.size(); ++source) {
      EXPECT_EQ(base[source], next);
      next += rows[source];
    }
  }
}

TEST(PlaceExpertMajor, CoversWithoutOverlapWhenRandom) {
  std::mt19937 random(2);
  for (int round = 0; round < 200; ++round) {
    const int ranks = std::uniform_int_distribution<int>(1, 9)(random);
    const int experts = std::uniform_int_distribution<int>(1, 7)(random);
    const int alignment = std::uniform_int_distribution<int>(1, 17)(random);
    SCOPED_TRACE(testing::Message()
                 << ranks << " ranks, " << experts << " experts, alignment " << alignment);
    const Placed placed = place(ranks,
                                experts,
                                alignment,
                                random_counts(static_cast<std::size_t>(ranks * experts), random));
    expect_tight(placed);
    expect_disjoint_and_covering(placed);
  }
}

TEST(PlaceExpertMajor, GivesNothingWhenThereAreNoRows) {
  const Placed placed = place(4, 3, 16, std::vector<std::int32_t>(12, 0));
  EXPECT_EQ(placed.num_rows, 0);
  EXPECT_EQ(placed.offsets, (std::vector<std::int64_t>{0, 0, 0, 0}));
}

TEST(PlaceExpertMajor, AlignsTheEndWhenTheLastExpertIsShort) {
  const Placed placed = place(2, 2, 8, {1, 2, 3, 1});
  EXPECT_EQ(placed.offsets, (std::vector<std::int64_t>{0, 8, 16}));
  EXPECT_EQ(placed.base, (std::vector<std::int32_t>{0, 8, 1, 10}));
}

TEST(PlaceExpertMajor, CountsPastTwoToTheThirtyOneWhenSourcesAreHuge) {
  const std::int32_t huge = 2'000'000'000;
  const Placed placed = place(2, 1, 1, {huge, huge});
  EXPECT_EQ(placed.num_rows, std::int64_t{2} * huge);
}

TEST(PaddedBase, CoversEveryPlaceOnceWhenAllAreVisited) {
  const int experts = 3;
  const int ranks = 4;
  const int max_tokens = 5;
  std::vector<int> owners(static_cast<std::size_t>(experts * ranks * max_tokens), 0);
  std::int64_t last = -1;
  for (int expert = 0; expert < experts; ++expert) {
    for (int source = 0; source < ranks; ++source) {
      const std::int64_t base = padded_base(expert, source, ranks, max_tokens);
      EXPECT_GT(base, last);
      last = base;
      for (int token = 0; token < max_tokens; ++token) {
        ++owners.at(static_cast<std::size_t>(base + token));
      }
    }
  }
  EXPECT_EQ(std::count(owners.begin(), owners.end(), 1), std::ssize(owners));
}

TEST(PaddedBase, DoesNotWrapWhenPlacesExceedTwoToTheThirtyOne) {
  EXPECT_EQ(padded_base(100'000, 0, 1000, 1000), 100'000'000'000);
}

}  // namespace
}  // namespace switchyard::routing
