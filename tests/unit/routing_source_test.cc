// The generated routings: what each promises of its choices, that they are the same on every
// machine, and how bad traces are refused.
#include "benchmarks/common/routing_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>
#include <xtensor/xnpy.hpp>
#include <xtensor/xtensor.hpp>

#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Workload small_workload(const std::string& routing) {
  Workload workload;
  workload.tokens = 512;
  workload.topk = 8;
  workload.num_experts = 64;
  workload.routing = routing;
  workload.seed = 7;
  return workload;
}

std::string error_of(const Workload& workload) {
  try {
    make_routing(workload, 0);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "";
}

std::vector<std::int64_t> choices_of(const RankRouting& routing, int token) {
  const auto begin = routing.topk_idx.begin() + static_cast<std::ptrdiff_t>(token) * routing.topk;
  return {begin, begin + routing.topk};
}

std::vector<int> tokens_per_expert(const RankRouting& routing, int num_experts) {
  std::vector<int> counts(static_cast<std::size_t>(num_experts));
  for (const std::int64_t expert : routing.topk_idx) {
    if (expert >= 0) {
      ++counts[static_cast<std::size_t>(expert)];
    }
  }
  return counts;
}

class GeneratedRouting : public ::testing::TestWithParam<const char*> {};

TEST_P(GeneratedRouting, NamesDistinctExpertsWithWeightsOfSumOne) {
  const Workload workload = small_workload(GetParam());
  const RankRouting routing = make_routing(workload, 2);
  ASSERT_EQ(routing.num_tokens, workload.tokens);
  for (int token = 0; token < workload.tokens; ++token) {
    std::set<std::int64_t> seen;
    float sum = 0.0F;
    for (int k = 0; k < workload.topk; ++k) {
      const auto entry = static_cast<std::size_t>(token * workload.topk + k);
      const std::int64_t expert = routing.topk_idx[entry];
      ASSERT_GE(expert, -1);
      ASSERT_LT(expert, workload.num_experts);
      ASSERT_EQ(routing.topk_weights[entry] > 0.0F, expert >= 0);
      sum += routing.topk_weights[entry];
      ASSERT_TRUE(expert < 0 || seen.insert(expert).second) << "token " << token;
    }
    ASSERT_TRUE(seen.empty() || std::abs(sum - 1.0F) < 1e-5F)
        << "token " << token << " sum " << sum;
  }
}

TEST_P(GeneratedRouting, DependsOnSeedAndRankAlone) {
  Workload workload = small_workload(GetParam());
  const RankRouting once = make_routing(workload, 1);
  EXPECT_EQ(make_routing(workload, 1).topk_idx, once.topk_idx);
  EXPECT_EQ(make_routing(workload, 1).topk_weights, once.topk_weights);
  EXPECT_NE(make_routing(workload, 0).topk_idx, once.topk_idx);
  workload.seed += 1;
  EXPECT_NE(make_routing(workload, 1).topk_idx, once.topk_idx);
}

INSTANTIATE_TEST_SUITE_P(
    RoutingSource,
    GeneratedRouting,
    ::testing::Values("uniform", "grouped", "grouped:4,2", "zipf:1.2", "masked"));

// Written down once; another machine or compiler must come to the same.
TEST(RoutingSource, ChoosesTheSameExpertsOnEveryMachine) {
  EXPECT_THAT(choices_of(make_routing(small_workload("uniform"), 0), 0),
              ElementsAre(2, 29, 54, 24, 43, 18, 7, 51));
  EXPECT_THAT(choices_of(make_routing(small_workload("grouped"), 0), 0),
              ElementsAre(40, 51, 6, 10, 1, 45, 41, 12));
  EXPECT_THAT(choices_of(make_routing(small_workload("zipf:1.2"), 0), 0),
              ElementsAre(17, 20, 7, 51, 13, 1, 53, 18));
}

TEST(RoutingSource, SpreadsUniformChoicesEvenly) {
  const std::vector<int> counts = tokens_per_expert(make_routing(small_workload("uniform"), 0), 64);
  EXPECT_GT(*std::min_element(counts.begin(), counts.end()),
            32);  // 64 expected, standard deviation 7.5
  EXPECT_LT(*std::max_element(counts.begin(), counts.end()), 96);
}

TEST(RoutingSource, KeepsGroupedChoicesInTheKeptGroups) {
  const RankRouting routing = make_routing(small_workload("grouped:8,4"), 0);
  for (int token = 0; token < routing.num_tokens; ++token) {
    std::set<std::int64_t> groups;
    for (const std::int64_t expert : choices_of(routing, token)) {
      groups.insert(expert / 8);
    }
    ASSERT_LE(groups.size(), 4U) << "token " << token;
  }
}

TEST(RoutingSource, OrdersGroupedChoicesByScore) {
  const RankRouting routing = make_routing(small_workload("grouped"), 0);
  for (std::size_t token = 0; token < 512; ++token) {
    const auto begin = routing.topk_weights.begin() + static_cast<std::ptrdiff_t>(token * 8);
    ASSERT_TRUE(std::is_sorted(begin, begin + 8, std::greater<>())) << "token " << token;
  }
}

TEST(RoutingSource, SkewsZipfChoicesToTheSameExpertsOnAllRanks) {
  const Workload workload = small_workload("zipf:1.5");
  std::vector<std::size_t> favourites;
  for (int rank = 0; rank < workload.num_ranks; ++rank) {
    const std::vector<int> counts = tokens_per_expert(make_routing(workload, rank), 64);
    favourites.push_back(
        static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin()));
    EXPECT_GT(counts[favourites.back()], 480);  // nearly every token's
    EXPECT_LT(*std::min_element(counts.begin(), counts.end()), 32);
  }
  EXPECT_EQ(std::set(favourites.begin(), favourites.end()).size(), 1U);
}

TEST(RoutingSource, DrawsZipfWithoutSkewUniformlyAndWithExtremeSkewToTheEnd) {
  const std::vector<int> counts = tokens_per_expert(make_routing(small_workload("zipf:0"), 0), 64);
  EXPECT_GT(*std::min_element(counts.begin(), counts.end()), 32);
  Workload all_experts = small_workload("zipf:16");
  all_experts.topk = 32;
  all_experts.num_experts = 32;
  for (const int count : tokens_per_expert(make_routing(all_experts, 0), 32)) {
    EXPECT_EQ(count, all_experts.tokens);
  }
}

TEST(RoutingSource, MasksEntriesAndWholeTokens) {
  const RankRouting routing = make_routing(small_workload("masked"), 0);
  int whole_tokens = 0;
  for (int token = 0; token < routing.num_tokens; ++token) {
    const std::vector<std::int64_t> choices = choices_of(routing, token);
    whole_tokens +=
        std::all_of(choices.begin(), choices.end(), [](auto e) { return e < 0; }) ? 1 : 0;
  }
  EXPECT_GT(whole_tokens, 8);  // 32 expected
  EXPECT_LT(whole_tokens, 80);
  const auto holes = std::count(routing.topk_idx.begin(), routing.topk_idx.end(), -1);
  EXPECT_GT(holes, 512 * 8 / 5);
  EXPECT_LT(holes, 512 * 8 / 2);
  const RankRouting empty = make_routing(small_workload("masked:1"), 0);
  EXPECT_EQ(std::count(empty.topk_idx.begin(), empty.topk_idx.end(), -1), 512 * 8);
}

TEST(RoutingSource, RefusesSpecificationsItDoesNotKnow) {
  EXPECT_THAT(error_of(small_workload("random")),
              AllOf(HasSubstr("\"random\""), HasSubstr("uniform")));
  EXPECT_THAT(error_of(small_workload("zipf")), HasSubstr("zipf:<s>"));
  EXPECT_THAT(error_of(small_workload("zipf:")), HasSubstr("zipf:<s>"));
  EXPECT_THAT(error_of(small_workload("zipf:1.2x")), HasSubstr("got \"1.2x\", wanted a number"));
  EXPECT_THAT(error_of(small_workload("zipf:nan")), HasSubstr("wanted a number from 0 to 16"));
  EXPECT_THAT(error_of(small_workload("masked:1.5")), HasSubstr("got 1.5"));
  EXPECT_THAT(error_of(small_workload("grouped:7,2")), HasSubstr("a divisor of the 64 experts"));
  EXPECT_THAT(error_of(small_workload("grouped:64,4")), HasSubstr("hold the top-8"));
  EXPECT_THAT(error_of(small_workload("grouped:8")), HasSubstr("grouped:<groups>,<kept groups>"));
  Workload few_experts = small_workload("uniform");
  few_experts.num_experts = 4;
  EXPECT_THAT(error_of(few_experts), AllOf(HasSubstr("topk: got 8"), HasSubstr("the 4 experts")));
}

class TraceFile : public ::testing::Test {
 protected:
  void SetUp() override {
    workload_ = small_workload("file:" + path_);
    workload_.num_ranks = 2;
    workload_.tokens = 3;
    workload_.topk = 2;
    workload_.num_experts = 4;
  }
  void TearDown() override { std::filesystem::remove(path_); }

  template <class Integer>
  void write(const xt::xtensor<Integer, 2>& rows) {
    xt::dump_npy(path_, rows);
  }
  [[nodiscard]] std::string bytes() const {
    std::ifstream stream(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void write_bytes(const std::string& content) const {
    std::ofstream(path_, std::ios::binary) << content;
  }

  std::string path_ = ::testing::TempDir() + "switchyard_trace_" +
                      ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".npy";
  Workload workload_;
};

TEST_F(TraceFile, DealsRowsToRanksInOrder) {
  write<std::int64_t>({{0, 1}, {2, -1}, {3, 0}, {1, 1}, {2, 3}, {-1, -1}});
  EXPECT_THAT(make_routing(workload_, 0).topk_idx, ElementsAre(0, 1, 2, -1, 3, 0));
  const RankRouting second = make_routing(workload_, 1);
  EXPECT_THAT(second.topk_idx, ElementsAre(1, 1, 2, 3, -1, -1));
  EXPECT_THAT(second.notice, IsEmpty());
  EXPECT_EQ(make_all_routing(workload_).at(1).topk_idx, second.topk_idx);
}

TEST_F(TraceFile, StartsAgainWithANoticeWhenItIsTooShort) {
  write<std::int32_t>({{0, 1}, {2, 3}});
  const RankRouting routing = make_routing(workload_, 1);
  EXPECT_THAT(routing.topk_idx, ElementsAre(2, 3, 0, 1, 2, 3));
  EXPECT_THAT(routing.notice, AllOf(HasSubstr("has 2 rows"), HasSubstr("need 6")));
}

TEST_F(TraceFile, NamesTheFirstExpertOutOfRange) {
  write<std::int32_t>({{0, 1}, {2, 4}});
  EXPECT_THAT(error_of(workload_),
              AllOf(HasSubstr(path_), HasSubstr("got expert 4 at [1][1], wanted -1 to 3")));
  write<std::int64_t>({{0, -2}});
  EXPECT_THAT(error_of(workload_), HasSubstr("got expert -2 at [0][1]"));
}

TEST_F(TraceFile, RefusesAnotherShapeTypeOrOrder) {
  write<std::int32_t>({{0, 1, 2}});
  EXPECT_THAT(error_of(workload_), HasSubstr("got shape (1, 3), wanted (tokens, 2)"));
  write<float>({{0.0F, 1.0F}});
  EXPECT_THAT(error_of(workload_), AllOf(HasSubstr("<f4"), HasSubstr("wanted a NumPy array")));
  xt::dump_npy(path_, xt::xtensor<std::int64_t, 1>{0, 1});
  EXPECT_THAT(error_of(workload_), HasSubstr("the header"));
  xt::dump_npy(path_, xt::xtensor<std::int64_t, 2, xt::layout_type::column_major>{{0, 1}, {2, 3}});
  EXPECT_THAT(error_of(workload_), HasSubstr("fortran_order true"));
}

TEST_F(TraceFile, RefusesFilesThatAreNoTraces) {
  EXPECT_THAT(error_of(workload_), HasSubstr("No such file"));
  write_bytes("");
  EXPECT_THAT(error_of(workload_), HasSubstr("without the start of NumPy's format"));
  write_bytes("expert,expert\n0,1\n2,3\n");
  EXPECT_THAT(error_of(workload_), HasSubstr("without the start of NumPy's format"));
}

TEST_F(TraceFile, RefusesEveryTruncationAndEveryLyingHeader) {
  write<std::int64_t>({{0, 1}, {2, 3}, {0, 2}});
  const std::string whole = bytes();
  ASSERT_EQ(error_of(workload_), "");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_bytes(whole.substr(0, length));
    ASSERT_NE(error_of(workload_), "") << "truncated to " << length << " of " << whole.size();
  }
  for (std::size_t at = 0; at < whole.size() - 48; ++at) {
    for (const char byte : {'\0', '9', '\x7f', '\xff'}) {
      std::string altered = whole;
      altered[at] = byte;
      write_bytes(altered);
      const std::string error = error_of(workload_);
      ASSERT_TRUE(error.empty() || error.find("wanted") != std::string::npos)
          << "byte " << at << ": " << error;
    }
  }
}

}  // namespace
}  // namespace switchyard::bench
