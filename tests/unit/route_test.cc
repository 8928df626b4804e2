// Routing against a second implementation that looks things up instead of counting along.
#include "csrc/routing/route.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "switchyard/error.h"

namespace switchyard::routing {
namespace {

/// Top-k choices of one rank, [token][position].
using Choices = std::vector<std::vector<std::int64_t>>;

/// Choices as the tensor of a caller: either index type, gaps between tokens and positions.
class TopkTensor {
 public:
  TopkTensor(const Choices& choices, int topk, DType dtype, int position_stride, int token_gap)
      : view_(nullptr, dtype, {static_cast<std::int64_t>(choices.size()), topk}) {
    view_.strides = {std::int64_t{topk} * position_stride + token_gap, position_stride};
    const std::size_t extent = choices.size() * static_cast<std::size_t>(view_.strides[0]);
    wide_.assign(extent + 1, kGap);
    narrow_.assign(extent + 1, static_cast<std::int32_t>(kGap));
    for (std::size_t token = 0; token < choices.size(); ++token) {
      for (std::size_t k = 0; k < choices[token].size(); ++k) {
        const std::size_t at = token * static_cast<std::size_t>(view_.strides[0]) +
                               k * static_cast<std::size_t>(view_.strides[1]);
        wide_[at] = choices[token][k];
        narrow_[at] = static_cast<std::int32_t>(choices[token][k]);
      }
    }
    view_.data = dtype == DType::kInt64 ? static_cast<const void*>(wide_.data()) : narrow_.data();
  }

  [[nodiscard]] const ConstTensorView& view() const { return view_; }

 private:
  static constexpr std::int64_t kGap = 1 << 30;  // no expert: reading a gap is an error

  std::vector<std::int64_t> wide_;
  std::vector<std::int32_t> narrow_;
  ConstTensorView view_;
};

/// What a route says, derived by looking at whole tokens and at all tokens before them.
class NaiveRoute {
 public:
  NaiveRoute(const RouteShape& shape, const Choices& choices, bool row_per_expert)
      : shape_(shape), choices_(choices), row_per_expert_(row_per_expert) {}

  [[nodiscard]] std::int64_t rank(std::size_t token, std::size_t k) const {
    return choices_[token][k] < 0 ? -1 : choices_[token][k] / shape_.experts_per_rank();
  }
  /// What an entry's row is of: its expert, or its rank.
  [[nodiscard]] std::int64_t unit(std::size_t token, std::size_t k) const {
    return row_per_expert_ ? choices_[token][k] : rank(token, k);
  }
  [[nodiscard]] std::size_t opener(std::size_t token, std::size_t k) const {
    std::size_t first = 0;
    while (unit(token, first) != unit(token, k)) {
      ++first;
    }
    return first;
  }
  /// Tokens before `token` that have a row of `of_unit`.
  [[nodiscard]] int ordinal(std::size_t token, std::int64_t of_unit) const {
    return count_tokens(token, [&](std::size_t t, std::size_t k) { return unit(t, k) == of_unit; });
  }
  /// Tokens among the first `end` with an entry that `matches(token, k)`.
  [[nodiscard]] int count_tokens(
      std::size_t end, const std::function<bool(std::size_t, std::size_t)>& matches) const {
    int count = 0;
    for (std::size_t token = 0; token < end; ++token) {
      bool found = false;
      for (std::size_t k = 0; k < choices_[token].size(); ++k) {
        found = found || (choices_[token][k] >= 0 && matches(token, k));
      }
      count += found ? 1 : 0;
    }
    return count;
  }
  [[nodiscard]] int rows_of_rank(std::int64_t of_rank) const {
    std::set<std::pair<std::size_t, std::int64_t>> rows;
    for (std::size_t token = 0; token < choices_.size(); ++token) {
      for (std::size_t k = 0; k < choices_[token].size(); ++k) {
        if (rank(token, k) == of_rank) {
          rows.emplace(token, unit(token, k));
        }
      }
    }
    return static_cast<int>(rows.size());
  }
  [[nodiscard]] bool has_duplicates() const {
    return std::any_of(choices_.begin(), choices_.end(), [](const auto& token) {
      std::set<std::int64_t> seen;
      return std::any_of(token.begin(), token.end(), [&](std::int64_t expert) {
        return expert >= 0 && !seen.insert(expert).second;
      });
    });
  }
  /// Groups by the last position of their rank, rows of a group by position.
  [[nodiscard]] std::vector<std::uint8_t> terms(std::size_t token) const {
    std::map<std::int64_t, std::size_t> last_of_rank;
    for (std::size_t k = 0; k < choices_[token].size(); ++k) {
      last_of_rank[rank(token, k)] = k;
    }
    last_of_rank.erase(-1);
    std::map<std::size_t, std::int64_t> groups;
    for (const auto& [of_rank, last] : last_of_rank) {
      groups[last] = of_rank;
    }
    std::vector<std::uint8_t> terms;
    for (const auto& [last, of_rank] : groups) {
      for (std::size_t k = 0; k <= last; ++k) {
        if (rank(token, k) == of_rank && opener(token, k) == k) {
          terms.push_back(static_cast<std::uint8_t>(k));
        }
      }
      terms.back() |= kClosesGroup;
    }
    return terms;
  }

 private:
  RouteShape shape_;
  const Choices& choices_;
  bool row_per_expert_;
};

void expect_entries_equal(const Route& route, const NaiveRoute& naive, const Choices& choices) {
  const auto topk = static_cast<std::size_t>(route.shape.topk);
  for (std::size_t token = 0; token < choices.size(); ++token) {
    for (std::size_t k = 0; k < topk; ++k) {
      SCOPED_TRACE(testing::Message() << "token " << token << " position " << k);
      const std::size_t entry = token * topk + k;
      ASSERT_EQ(route.expert[entry], choices[token][k]);
      ASSERT_EQ(route.rank[entry], naive.rank(token, k));
      if (choices[token][k] < 0) {
        ASSERT_EQ(route.opener[entry], kNoOpener);
        ASSERT_EQ(route.ordinal[entry], -1);
        continue;
      }
      ASSERT_EQ(route.opener[entry], naive.opener(token, k));
      ASSERT_EQ(route.ordinal[entry], naive.ordinal(token, naive.unit(token, k)));
    }
    const auto first = route.terms.begin() + static_cast<std::ptrdiff_t>(token * topk);
    const std::vector<std::uint8_t> terms(first, first + route.num_terms[token]);
    ASSERT_EQ(terms, naive.terms(token)) << "token " << token;
  }
}

void expect_counts_equal(const Route& route, const NaiveRoute& naive, const Choices& choices) {
  const RouteShape& shape = route.shape;
  for (int rank = 0; rank < shape.num_ranks; ++rank) {
    EXPECT_EQ(route.rows_per_rank[static_cast<std::size_t>(rank)], naive.rows_of_rank(rank));
    const std::vector<std::int32_t> tokens = tokens_of_rank(route, rank);
    EXPECT_TRUE(std::is_sorted(tokens.begin(), tokens.end()));
    const auto here = [&](std::size_t t, std::size_t k) { return naive.rank(t, k) == rank; };
    EXPECT_EQ(tokens.size(), naive.count_tokens(choices.size(), here));
    for (const std::int32_t token : tokens) {
      const auto index = static_cast<std::size_t>(token);
      EXPECT_EQ(naive.count_tokens(index + 1, here), naive.count_tokens(index, here) + 1);
    }
  }
  for (int node = 0; node < shape.num_nodes(); ++node) {
    EXPECT_EQ(route.tokens_per_node[static_cast<std::size_t>(node)],
              naive.count_tokens(choices.size(), [&](std::size_t t, std::size_t k) {
                return naive.rank(t, k) / shape.ranks_per_node == node;
              }));
  }
  for (int expert = 0; expert < shape.num_experts; ++expert) {
    EXPECT_EQ(route.tokens_per_expert[static_cast<std::size_t>(expert)],
              naive.count_tokens(choices.size(), [&](std::size_t t, std::size_t k) {
                return choices[t][k] == expert;
              }));
  }
  EXPECT_EQ(route.has_duplicates, naive.has_duplicates());
}

/// Every index type and stride gives the route that the naive one describes.
void expect_matches_naive(RouteShape shape, const Choices& choices) {
  shape.num_tokens = static_cast<int>(choices.size());
  for (const bool row_per_expert : {false, true}) {
    for (const DType dtype : {DType::kInt32, DType::kInt64}) {
      for (const int stride : {1, 3}) {
        SCOPED_TRACE(testing::Message() << (row_per_expert ? "row per expert, " : "row per rank, ")
                                        << dtype_name(dtype) << ", stride " << stride);
        const TopkTensor topk(choices, shape.topk, dtype, stride, stride - 1);
        const Route route = make_route(shape, topk.view(), row_per_expert);
        const NaiveRoute naive(shape, choices, row_per_expert);
        EXPECT_EQ(route.row_per_expert, row_per_expert);
        expect_entries_equal(route, naive, choices);
        expect_counts_equal(route, naive, choices);
      }
    }
  }
}

Choices fill(int num_tokens,
             int topk,
             const std::function<std::int64_t(int token, int k)>& expert) {
  Choices choices(static_cast<std::size_t>(num_tokens));
  for (int token = 0; token < num_tokens; ++token) {
    for (int k = 0; k < topk; ++k) {
      choices[static_cast<std::size_t>(token)].push_back(expert(token, k));
    }
  }
  return choices;
}

/// Uniform over [-none, num_experts), -1 for what is below 0; experts may repeat within a token.
Choices random_choices(const RouteShape& shape, int num_tokens, int none, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> expert(-none, shape.num_experts - 1);
  return fill(num_tokens, shape.topk, [&](int, int) { return std::max(-1, expert(random)); });
}

constexpr RouteShape kShape{.topk = 4, .num_experts = 24, .num_ranks = 6, .ranks_per_node = 2};

TEST(Route, MatchesTheNaiveReferenceWhenRandom) {
  for (unsigned seed = 0; seed < 8; ++seed) {
    expect_matches_naive(kShape, random_choices(kShape, 19, 0, seed));
    expect_matches_naive(kShape, random_choices(kShape, 19, 12, seed));
  }
}

TEST(Route, MatchesTheNaiveReferenceWhenNoTwoExpertsOfATokenAreEqual) {
  std::mt19937 random(7);
  std::vector<std::int64_t> experts(24);
  for (std::size_t i = 0; i < experts.size(); ++i) {
    experts[i] = static_cast<std::int64_t>(i);
  }
  expect_matches_naive(kShape, fill(23, 4, [&](int, int k) {
                         if (k == 0) {
                           std::shuffle(experts.begin(), experts.end(), random);
                         }
                         return experts[static_cast<std::size_t>(k)];
                       }));
}

TEST(Route, IsEmptyWhenThereAreNoTokens) {
  expect_matches_naive(kShape, {});
}

TEST(Route, HasNoRowsWhenNoEntryNamesAnExpert) {
  expect_matches_naive(kShape, fill(5, 4, [](int, int) { return -1; }));
}

TEST(Route, MatchesTheNaiveReferenceWhenSkewed) {
  std::mt19937 random(3);
  std::geometric_distribution<int> expert(0.5);
  expect_matches_naive(kShape, fill(31, 4, [&](int, int) { return std::min(23, expert(random)); }));
}

TEST(Route, SendsEverythingToOneRankWhenAllNameItsExperts) {
  expect_matches_naive(kShape, fill(9, 4, [](int token, int k) { return 20 + (token + k) % 4; }));
}

TEST(Route, SharesOneRowWhenAllEntriesNameOneExpert) {
  expect_matches_naive(kShape, fill(9, 4, [](int, int) { return 13; }));
}

TEST(Route, MatchesTheNaiveReferenceWhenTop1) {
  RouteShape shape = kShape;
  shape.topk = 1;
  expect_matches_naive(shape, random_choices(shape, 27, 5, 1));
}

TEST(Route, MatchesTheNaiveReferenceWhenTop32) {
  RouteShape shape = kShape;
  shape.topk = kMaxTopk;
  expect_matches_naive(shape, random_choices(shape, 9, 10, 1));
  shape.num_experts = 6;
  expect_matches_naive(shape, random_choices(shape, 9, 2, 2));
}

TEST(Route, MatchesTheNaiveReferenceWhenThereIsOneRankOrOneNode) {
  expect_matches_naive({.topk = 3, .num_experts = 5},
                       random_choices({.topk = 3, .num_experts = 5}, 12, 1, 1));
  const RouteShape one_node{.topk = 3, .num_experts = 8, .num_ranks = 4, .ranks_per_node = 4};
  expect_matches_naive(one_node, random_choices(one_node, 12, 2, 2));
}

TEST(Route, NamesTokenAndPositionWhenAnIndexIsOutOfRange) {
  for (const std::int64_t wrong : {std::int64_t{24}, std::int64_t{-2}, std::int64_t{1} << 29}) {
    for (const DType dtype : {DType::kInt32, DType::kInt64}) {
      RouteShape shape = kShape;
      shape.num_tokens = 6;
      Choices choices = random_choices(shape, 6, 2, 1);
      choices[5][2] = wrong;
      const TopkTensor topk(choices, 4, dtype, 2, 1);
      try {
        make_route(shape, topk.view(), false);
        ADD_FAILURE() << "took expert " << wrong;
      } catch (const InvalidArgument& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find("topk_idx[5][2]"), std::string::npos) << text;
        EXPECT_NE(text.find("got " + std::to_string(wrong)), std::string::npos) << text;
        EXPECT_NE(text.find("[0, 24)"), std::string::npos) << text;
      }
    }
  }
}

TEST(Route, RefusesWideIndicesWhenOnlyTheirLowHalfIsInRange) {
  RouteShape shape = kShape;
  shape.num_tokens = 1;
  Choices choices = random_choices(shape, 1, 0, 1);
  choices[0][3] = (std::int64_t{1} << 32) + 5;
  const TopkTensor topk(choices, 4, DType::kInt64, 1, 0);
  EXPECT_THROW(make_route(shape, topk.view(), true), InvalidArgument);
}

}  // namespace
}  // namespace switchyard::routing
