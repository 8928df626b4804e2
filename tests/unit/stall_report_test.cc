#include "benchmarks/common/stall_report.h"

#include <gmock/gmock.h>

#include <string>

#include "tests/support/trace_events.h"

namespace switchyard::bench {
namespace {

using test::trace_of;
using test::TraceWriter;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kCounts = "its row counts";
constexpr const char* kRows = "the arrival of its rows";

/// A rank that comes to dispatch `number` at once and waits for rank 1's rows for `wait_us`.
TraceWriter punctual(int rank, std::uint64_t number, std::int64_t at_us, std::int64_t wait_us) {
  TraceWriter writer = trace_of(rank);
  writer.with("dispatch", number, "scale-up send", 0).began(at_us).ended(at_us + 2);
  writer.with("dispatch", number, "scale-up receive", 1)
      .began(at_us + 3)
      .blocked(at_us + 3, kRows, 1)
      .ended(at_us + 3 + wait_us);
  return writer;
}

TraceWriter late(std::uint64_t number, std::int64_t at_us) {
  TraceWriter writer = trace_of(1);
  writer.with("dispatch", number, "scale-up send", 0).began(at_us).ended(at_us + 2);
  return writer;
}

TEST(StallReport, NamesRankChannelAndWaitOfTheSlowestOperation) {
  Trace rank_0 = punctual(0, 1, 100, 10).trace;
  Trace rank_2 = punctual(2, 1, 100, 11).trace;
  Trace rank_1 = late(1, 105).trace;
  const auto then = [](Trace& trace, const Trace& more) {
    trace.events.insert(trace.events.end(), more.events.begin(), more.events.end());
  };
  then(rank_0, punctual(0, 2, 1000, 700).trace);
  then(rank_2, punctual(2, 2, 1000, 750).trace);
  then(rank_1, late(2, 1690).trace);
  const std::vector<Stall> stalls = find_stalls(role_spans({rank_0, rank_1, rank_2}), 3);
  ASSERT_EQ(stalls.size(), 1U);
  const Stall& stall = stalls[0];
  EXPECT_EQ(stall.num_traced, 2);
  EXPECT_EQ(stall.operation, 2U);
  EXPECT_EQ(stall.length_ns, 754'000);
  EXPECT_EQ(stall.rank, 2);
  EXPECT_EQ(stall.channel, 1);
  EXPECT_EQ(stall.role, "scale-up receive");
  ASSERT_TRUE(stall.wait.has_value());
  EXPECT_EQ(stall.wait->peer, 1);
  EXPECT_EQ(stall.wait->length_ns(), 750'000);
  EXPECT_EQ(stall.blamed_rank, 1);
  EXPECT_EQ(stall.blamed_ns, 1'450'000);
  EXPECT_EQ(stall.blamed_late_ns, 690'000);
  EXPECT_EQ(to_string(stall),
            "dispatch 2, the slowest of 2 traced: 754.0 us. Last to end: rank 2, scale-up receive "
            "of channel 1, which waited 750.0 us for rank 1: the arrival of its rows\n"
            "  most waited for: rank 1, 1450.0 us over all roles; it began 690.0 us after the "
            "first\n");
}

TEST(StallReport, LooksAtTheWholeRankWhenTheLastRoleWaitedForNoPeer) {
  TraceWriter rank_0 = trace_of(0);
  rank_0.with("dispatch", 1, "count exchange", 0).began(1).blocked(1, kCounts, 1).ended(40);
  rank_0.with("dispatch", 1, "scale-up send", 2)
      .began(1)
      .blocked(1, "an earlier stage of this rank", -1)
      .ended(50);
  const Trace rank_1 =
      trace_of(1).with("dispatch", 1, "count exchange", 0).began(39).ended(39).trace;
  const std::vector<Stall> stalls = find_stalls(role_spans({rank_0.trace, rank_1}), 2);
  ASSERT_EQ(stalls.size(), 1U);
  EXPECT_THAT(to_string(stalls[0]),
              AllOf(HasSubstr("rank 0, scale-up send of channel 2, whose rank's count exchange "
                              "waited 39.0 us for rank 1: its row counts"),
                    HasSubstr("most waited for: rank 1")));
}

TEST(StallReport, LeavesOutOperationsThatATraceHoldsInPart) {
  const Trace rank_0 = trace_of(0).advanced(1, 900).ended(950).trace;  // beginning overwritten
  const Trace rank_1 = trace_of(1).began(1).ended(2).trace;
  EXPECT_TRUE(find_stalls(role_spans({rank_0, rank_1}), 2).empty());
  EXPECT_TRUE(find_stalls(role_spans({rank_1}), 2).empty()) << "rank 0 is missing";
}

TEST(StallReport, NamesTheRoleThatWaitedLongestWhenAnOperationDidNotEnd) {
  TraceWriter rank_0 = trace_of(0);
  rank_0.with("dispatch", 1, "scale-up send", 0).began(1).ended(2);
  rank_0.with("dispatch", 1, "scale-up receive", 0).began(1).blocked(1, kRows, 2).dropped(5000);
  TraceWriter rank_1 = trace_of(1);
  rank_1.with("dispatch", 1, "count exchange", 0).began(100).blocked(100, kCounts, 2).dropped(5001);
  const std::vector<Stall> stalls = find_stalls(role_spans({rank_0.trace, rank_1.trace}), 3);
  ASSERT_EQ(stalls.size(), 1U);
  EXPECT_THAT(to_string(stalls[0]),
              HasSubstr("It did not end; stuck: rank 0, scale-up receive of channel 0, which "
                        "waited 4999.0 us for rank 2: the arrival of its rows"));
}

}  // namespace
}  // namespace switchyard::bench
