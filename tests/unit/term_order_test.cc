// The order of summation made from the ranks and openers of one token: the order of Route::terms,
// and that which the contract words, for many random tokens.
#include "csrc/routing/term_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "csrc/routing/route.h"
#include "switchyard/layout.h"
#include "tests/support/seeds.h"

namespace switchyard::routing {
namespace {

/// Random choices, expert numbers drawn from few enough that tokens name ranks and experts twice.
Route random_route(std::mt19937_64& random, bool row_per_expert) {
  RouteShape shape;
  shape.num_tokens = 8;
  shape.topk = static_cast<int>(1 + random() % kMaxTopk);
  shape.num_ranks = static_cast<int>(1 + random() % 8);
  shape.ranks_per_node = shape.num_ranks;
  shape.num_experts = shape.num_ranks * static_cast<int>(1 + random() % 4);
  const auto drawn = 1 + random() % static_cast<std::uint64_t>(shape.num_experts);
  const std::uint64_t none_in = 2 + random() % 6;
  std::vector<std::int32_t> choices(static_cast<std::size_t>(shape.num_tokens * shape.topk));
  for (std::int32_t& choice : choices) {
    choice = random() % none_in == 0 ? -1 : static_cast<std::int32_t>(random() % drawn);
  }
  return make_route(
      shape, {choices.data(), DType::kInt32, {shape.num_tokens, shape.topk}}, row_per_expert);
}

struct Terms {
  explicit Terms(int topk) : order(static_cast<std::size_t>(topk), kUntouched) {}

  /// Behind the terms nothing is written.
  static constexpr std::uint8_t kUntouched = 0x7e;
  std::vector<std::uint8_t> order;
  int count = 0;
};

Terms terms_of(const std::int32_t* rank, const std::uint8_t* opener, int topk) {
  Terms terms(topk);
  terms.count = order_terms(rank, opener, topk, terms.order.data());
  return terms;
}

/// The contract's words: opening entries, sorted by the last position of their rank, then by their
/// own; the last of each rank is marked.
std::vector<std::uint8_t> sorted_terms(const std::int32_t* rank,
                                       const std::uint8_t* opener,
                                       int topk) {
  const auto last_of = [&](int k) {
    int last = k;
    for (int other = 0; other < topk; ++other) {
      last = rank[other] == rank[k] ? std::max(last, other) : last;
    }
    return last;
  };
  std::vector<int> opening;
  for (int k = 0; k < topk; ++k) {
    if (rank[k] >= 0 && opener[k] == k) {
      opening.push_back(k);
    }
  }
  std::stable_sort(
      opening.begin(), opening.end(), [&](int a, int b) { return last_of(a) < last_of(b); });
  std::vector<std::uint8_t> terms;
  for (std::size_t i = 0; i < opening.size(); ++i) {
    const bool closes = i + 1 == opening.size() || rank[opening[i]] != rank[opening[i + 1]];
    terms.push_back(static_cast<std::uint8_t>(opening[i] | (closes ? kClosesGroup : 0)));
  }
  return terms;
}

void expect_terms(const Terms& got, const std::vector<std::uint8_t>& wanted) {
  ASSERT_EQ(static_cast<std::size_t>(got.count), wanted.size());
  for (std::size_t i = 0; i < got.order.size(); ++i) {
    ASSERT_EQ(got.order[i], i < wanted.size() ? wanted[i] : Terms::kUntouched) << "term " << i;
  }
}

TEST(TermOrder, IsThatOfTheRouteForRandomTokensOfBothLayouts) {
  test::for_each_seed(4000, [](std::uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const Route route = random_route(random, seed % 2 == 0);
    const auto topk = static_cast<std::size_t>(route.shape.topk);
    for (std::size_t token = 0; token < route.num_terms.size(); ++token) {
      const std::size_t first = token * topk;
      const Terms terms =
          terms_of(&route.rank[first], &route.opener[first], static_cast<int>(topk));
      const auto begin = route.terms.begin() + static_cast<std::ptrdiff_t>(first);
      expect_terms(terms, {begin, begin + route.num_terms[token]});
    }
  });
}

TEST(TermOrder, IsTheContractsWhereANodeSeesSomeRanksOnly) {
  // As a forwarder has it: entries of other nodes name no rank, but keep their opener.
  test::for_each_seed(4000, [](std::uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const Route route = random_route(random, seed % 2 == 0);
    const int first_rank = static_cast<int>(random() % 8);
    const int num_ranks = static_cast<int>(1 + random() % 4);
    std::vector<std::int32_t> here(route.rank);
    for (std::int32_t& rank : here) {
      rank = rank >= first_rank && rank < first_rank + num_ranks ? rank - first_rank : -1;
    }
    const auto topk = static_cast<std::size_t>(route.shape.topk);
    for (std::size_t first = 0; first < here.size(); first += topk) {
      const int num = static_cast<int>(topk);
      expect_terms(terms_of(&here[first], &route.opener[first], num),
                   sorted_terms(&here[first], &route.opener[first], num));
    }
  });
}

TEST(TermOrder, HasNoTermWhereNoEntryNamesARank) {
  const std::int32_t ranks[] = {-1, -1, -1};
  const std::uint8_t openers[] = {kNoOpener, kNoOpener, kNoOpener};
  expect_terms(terms_of(ranks, openers, 3), {});
}

TEST(TermOrder, PutsARankThatComesAgainBehindOneThatCameBetween) {
  const std::int32_t ranks[] = {1, 0, 1, 0, 2};
  const std::uint8_t openers[] = {0, 1, 2, 1, 4};
  expect_terms(terms_of(ranks, openers, 5),
               {0, 2 | kClosesGroup, 1 | kClosesGroup, 4 | kClosesGroup});
}

}  // namespace
}  // namespace switchyard::routing
