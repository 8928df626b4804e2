#include "csrc/memory/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

constexpr std::uint64_t kPage = kRegionAlignment;

TEST(Arena, GivesAlignedRegionsThatDoNotOverlapWhenAskedRepeatedly) {
  Arena arena(2 * kPage, 10 * kPage);
  EXPECT_EQ(arena.allocate(1), 2 * kPage);
  EXPECT_EQ(arena.allocate(kPage + 1), 3 * kPage);
  EXPECT_EQ(arena.allocate(kPage), 5 * kPage);
  EXPECT_EQ(arena.used_bytes(), 4 * kPage);
}

TEST(Arena, TakesTheSmallestRegionWhenAskedForNothing) {
  Arena arena(0, 2 * kPage);
  EXPECT_EQ(arena.allocate(0), 0U);
  EXPECT_EQ(arena.allocate(0), kPage);
  EXPECT_EQ(arena.allocate(0), std::nullopt);
}

TEST(Arena, GivesNothingAndStaysUnchangedWhenNoHoleFits) {
  Arena arena(0, 4 * kPage);
  EXPECT_EQ(arena.allocate(5 * kPage), std::nullopt);
  EXPECT_EQ(arena.largest_free_bytes(), 4 * kPage);
  EXPECT_EQ(arena.used_bytes(), 0U);
}

TEST(Arena, GivesNothingWhenRoundingUpWouldWrap) {
  Arena arena(0, 4 * kPage);
  EXPECT_EQ(arena.allocate(~std::uint64_t{0}), std::nullopt);
  EXPECT_EQ(arena.allocate(~std::uint64_t{0} - kPage + 2), std::nullopt);
}

TEST(Arena, TakesTheFirstHoleThatFitsWhenThereAreSeveral) {
  Arena arena(0, 16 * kPage);
  const auto small = arena.allocate(kPage);
  ASSERT_TRUE(arena.allocate(kPage));
  const auto large = arena.allocate(4 * kPage);
  ASSERT_TRUE(arena.allocate(kPage));
  arena.release(*large);
  arena.release(*small);
  EXPECT_EQ(arena.allocate(2 * kPage), *large);
  EXPECT_EQ(arena.allocate(kPage), *small);
}

TEST(Arena, MergesWithBothNeighboursWhenReleased) {
  Arena arena(0, 3 * kPage);
  const auto first = arena.allocate(kPage);
  const auto middle = arena.allocate(kPage);
  const auto last = arena.allocate(kPage);
  arena.release(*first);
  arena.release(*last);
  EXPECT_EQ(arena.largest_free_bytes(), kPage);
  arena.release(*middle);
  EXPECT_EQ(arena.largest_free_bytes(), 3 * kPage);
  EXPECT_EQ(arena.allocate(3 * kPage), 0U);
}

TEST(Arena, RemembersThePeakWhenRegionsAreReleased) {
  Arena arena(0, 8 * kPage);
  const auto region = arena.allocate(5 * kPage);
  arena.release(*region);
  ASSERT_TRUE(arena.allocate(kPage));
  EXPECT_EQ(arena.used_bytes(), kPage);
  EXPECT_EQ(arena.peak_used_bytes(), 5 * kPage);
}

TEST(Arena, GivesBackTheEndOfARegionWhenTrimmed) {
  Arena arena(0, 4 * kRegionAlignment);
  const auto first = arena.allocate(3 * kRegionAlignment);
  const auto second = arena.allocate(1);
  ASSERT_TRUE(first && second);
  arena.trim(*first, kRegionAlignment + 1);
  EXPECT_EQ(arena.used_bytes(), 3 * kRegionAlignment);
  EXPECT_EQ(arena.allocate(kRegionAlignment), 2 * kRegionAlignment);
  arena.release(2 * kRegionAlignment);
  arena.release(*first);
  arena.release(*second);
  EXPECT_EQ(arena.largest_free_bytes(), 4 * kRegionAlignment);
}

TEST(Arena, ThrowsWhenTrimmedToMoreThanThereIs) {
  Arena arena(0, 4 * kRegionAlignment);
  const auto region = arena.allocate(kRegionAlignment);
  ASSERT_TRUE(region);
  EXPECT_THROW(arena.trim(*region, kRegionAlignment + 1), Error);
  EXPECT_THROW(arena.trim(*region + kRegionAlignment, 1), Error);
}

TEST(Arena, ThrowsWhenAForeignOrRepeatedOffsetIsReleased) {
  Arena arena(0, 8 * kPage);
  const auto region = arena.allocate(2 * kPage);
  EXPECT_THROW(arena.release(*region + kPage), Error);
  arena.release(*region);
  try {
    arena.release(*region);
    FAIL() << "a repeated release was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
  }
}

TEST(Arena, HasNothingToGiveWhenItIsEmpty) {
  Arena arena(kPage, kPage);
  EXPECT_EQ(arena.largest_free_bytes(), 0U);
  EXPECT_EQ(arena.allocate(1), std::nullopt);
}

TEST(Arena, ThrowsWhenItsBoundsAreNotWholeRegions) {
  EXPECT_THROW(Arena(1, kPage), Error);
  EXPECT_THROW(Arena(0, kPage + 8), Error);
  EXPECT_THROW(Arena(2 * kPage, kPage), Error);
}

TEST(Arena, NeverOverlapsAndLosesNothingWhenUsedAtRandom) {
  constexpr std::uint64_t kNumPages = 64;
  std::mt19937_64 random(20240711);
  Arena arena(0, kNumPages * kPage);
  std::map<std::uint64_t, std::uint64_t> held;
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 2 == 0 || held.empty()) {
      const std::uint64_t bytes = (random() % 12 + 1) * kPage;
      const std::uint64_t largest = arena.largest_free_bytes();
      const auto offset = arena.allocate(bytes);
      ASSERT_EQ(offset.has_value(), bytes <= largest);
      if (offset) {
        const auto next = held.lower_bound(*offset);
        ASSERT_TRUE(next == held.end() || *offset + bytes <= next->first);
        ASSERT_TRUE(next == held.begin() ||
                    std::prev(next)->first + std::prev(next)->second <= *offset);
        held.emplace(*offset, bytes);
      }
    } else {
      const auto victim =
          std::next(held.begin(), static_cast<std::ptrdiff_t>(random() % held.size()));
      arena.release(victim->first);
      held.erase(victim);
    }
  }
  for (const auto& [offset, bytes] : held) {
    arena.release(offset);
  }
  EXPECT_EQ(arena.largest_free_bytes(), kNumPages * kPage);
  EXPECT_EQ(arena.used_bytes(), 0U);
}

TEST(Arena, GivesEachRegionToOneThreadWhenSeveralAsk) {
  Arena arena(0, 1024 * kPage);
  std::vector<std::vector<std::uint64_t>> offsets(4);
  std::vector<std::thread> threads;
  for (auto& mine : offsets) {
    threads.emplace_back([&arena, &mine] {
      for (int i = 0; i < 256; ++i) {
        mine.push_back(arena.allocate(kPage).value());
        if (i % 3 == 0) {
          arena.release(mine.back());
          mine.pop_back();
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::vector<std::uint64_t> all;
  for (const auto& mine : offsets) {
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  EXPECT_EQ(arena.used_bytes(), all.size() * kPage);
}

}  // namespace
}  // namespace switchyard::memory
