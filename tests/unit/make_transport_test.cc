#include "csrc/transport/make_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "switchyard/error.h"
#include "tests/support/rank_threads.h"
#include "tests/support/refusal.h"

namespace switchyard::transport {
namespace {

using test::text_of;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

/// Ranks of as many processes, which can do everything.
std::vector<Abilities> able_ranks(TransportKind asked, std::size_t num_ranks = 3) {
  std::vector<Abilities> ranks(num_ranks);
  for (std::size_t rank = 0; rank < num_ranks; ++rank) {
    ranks[rank].process.pid = static_cast<std::int64_t>(rank) + 1;
    ranks[rank].asked = asked;
  }
  return ranks;
}

template <std::size_t kSize>
void say(std::array<char, kSize>& to, const std::string& why) {
  std::copy(why.begin(), why.end(), to.begin());
}

TEST(TransportKind, ComesBackFromItsName) {
  for (const char* name : {"auto", "inproc", "ucx", "verbs"}) {
    EXPECT_STREQ(transport_kind_name(parse_transport_kind(name)), name);
  }
  EXPECT_THAT(text_of<InvalidArgument>([] { parse_transport_kind("tcp"); }),
              AllOf(HasSubstr("'tcp'"), HasSubstr("auto, inproc, ucx or verbs")));
}

TEST(TransportChoice, IsInprocForThreadsOfOneProcess) {
  auto ranks = able_ranks(TransportKind::kAuto);
  for (Abilities& rank : ranks) {
    rank.process.pid = 7;
  }
  EXPECT_EQ(choose_transport(ranks, 0).kind, TransportKind::kInproc);
  EXPECT_THAT(choose_transport(ranks, 0).reason, HasSubstr("threads of one process"));
}

TEST(TransportChoice, IsVerbsWhereEveryRankHasItAndElseUcxWithTheReason) {
  auto ranks = able_ranks(TransportKind::kAuto);
  EXPECT_EQ(choose_transport(ranks, 1).kind, TransportKind::kVerbs);
  say(ranks[2].why_no_verbs, "no RDMA device");
  EXPECT_EQ(choose_transport(ranks, 1).kind, TransportKind::kUcx);
  EXPECT_EQ(choose_transport(ranks, 1).reason, "ucx, since rank 2 has no verbs (no RDMA device)");
}

TEST(TransportChoice, IsRefusedWithEveryReasonWhenNothingFits) {
  auto ranks = able_ranks(TransportKind::kAuto);
  say(ranks[0].why_no_verbs, "no RDMA device");
  say(ranks[1].why_no_ucx, "not built");
  EXPECT_THAT(text_of<InvalidArgument>([&] { choose_transport(ranks, 0); }),
              AllOf(HasSubstr("rank 0 has no verbs (no RDMA device)"),
                    HasSubstr("rank 1 has no ucx (not built)")));
}

TEST(TransportChoice, TakesWhatWasAskedOrSaysWhoCannot) {
  auto ranks = able_ranks(TransportKind::kUcx);
  EXPECT_EQ(choose_transport(ranks, 0).kind, TransportKind::kUcx);
  EXPECT_EQ(choose_transport(ranks, 0).reason, "ucx, as asked");
  say(ranks[1].why_no_ucx, "not built");
  EXPECT_THAT(text_of<InvalidArgument>([&] { choose_transport(ranks, 0); }),
              HasSubstr("transport ucx: rank 1 has no ucx (not built)"));
  const auto processes = able_ranks(TransportKind::kInproc);
  EXPECT_THAT(text_of<InvalidArgument>([&] { choose_transport(processes, 0); }),
              HasSubstr("rank 1 has no inproc (it is another process than rank 0)"));
}

TEST(TransportChoice, NamesTheOtherRankWhenRanksAskForDifferentKinds) {
  auto ranks = able_ranks(TransportKind::kUcx);
  ranks[2].asked = TransportKind::kAuto;
  try {
    choose_transport(ranks, 1);
    ADD_FAILURE() << "ranks that disagree got a transport";
  } catch (const ConfigMismatch& error) {
    EXPECT_EQ(error.rank(), 2);
    EXPECT_THAT(error.what(), HasSubstr("rank 2 asks for auto, rank 1 for ucx"));
  }
}

TEST(TransportChoice, IsMadeAndTellsWhatItIs) {
  auto bootstraps = make_in_process_bootstraps(2);
  EXPECT_THAT(test::run_rank_threads(2,
                                     [&](int rank) {
                                       const auto made = make_transport(
                                           *bootstraps[static_cast<std::size_t>(rank)], {});
                                       EXPECT_EQ(made.choice.kind, TransportKind::kInproc);
                                       EXPECT_THAT(made.transport->describe(), HasSubstr("inproc"));
                                     }),
              Each(""));
}

}  // namespace
}  // namespace switchyard::transport
