// What Buffer::take_trace says of groups whose ranks are threads.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "benchmarks/common/stall_report.h"
#include "benchmarks/common/trace_spans.h"
#include "tests/support/moe_group.h"

namespace switchyard {
namespace {

using bench::RoleSpan;
using bench::Workload;
using test::RankContext;
using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

Workload workload() {
  Workload result;
  result.num_ranks = 4;
  result.tokens = 64;
  result.hidden = 256;
  result.topk = 4;
  result.num_experts = 16;
  return result;
}

Config traced_config(int events) {
  Config config = test::test_config();
  config.trace_events = events;
  config.num_workers = 2;
  config.num_channels = 3;
  return config;
}

/// Traces of all ranks, each after `body`.
std::vector<Trace> trace_group(const Config& config, const test::RankBody& body) {
  std::vector<Trace> traces(static_cast<std::size_t>(workload().num_ranks));
  test::run_group(workload(), test::route_all(workload()), config, [&](const RankContext& context) {
    body(context);
    traces[static_cast<std::size_t>(context.rank)] = context.buffer.take_trace();
  });
  return traces;
}

void exchange(const RankContext& context) {
  const DispatchResult landed = context.buffer.dispatch(context.inputs.request());
  const CombineResult summed =
      context.buffer.combine(test::combine_request(context, landed, landed.x()));
}

TEST(TraceThreads, IsEmptyWhenItWasNotAskedFor) {
  for (const Trace& trace : trace_group(test::test_config(), exchange)) {
    EXPECT_TRUE(trace.events.empty());
    EXPECT_EQ(trace.lost, 0U);
  }
}

TEST(TraceThreads, HasEveryRoleOfEveryRankFromItsBeginningToItsEnd) {
  const std::vector<Trace> traces = trace_group(traced_config(1000), exchange);
  std::set<std::tuple<int, std::string, int>> seen;
  for (const RoleSpan& span : bench::role_spans(traces)) {
    EXPECT_TRUE(span.whole()) << span.rank << " " << span.role;
    EXPECT_TRUE(seen.emplace(span.rank, span.role, span.channel).second);
    EXPECT_EQ(span.operation, span.op == std::string("dispatch") ? 1U : 2U);
    EXPECT_EQ(span.worker, span.channel % 2);
  }
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(seen.count({rank, "count exchange", 0}), 1U);
    EXPECT_EQ(seen.count({rank, "combine announce", 0}), 1U);
    for (int channel = 0; channel < 3; ++channel) {
      EXPECT_EQ(seen.count({rank, "scale-up send", channel}), 1U);
      EXPECT_EQ(seen.count({rank, "scale-up receive", channel}), 1U);
      EXPECT_EQ(seen.count({rank, "combine accumulate", channel}), 1U);
    }
  }
  EXPECT_EQ(seen.size(), 4U * (2 + 3 * 3));
}

TEST(TraceThreads, CountsEveryRowThatWasSentAndSummed) {
  std::atomic<std::int64_t> landed_rows{0};
  const std::vector<Trace> traces =
      trace_group(traced_config(1000), [&](const RankContext& context) {
        const DispatchResult landed = context.buffer.dispatch(context.inputs.request());
        landed_rows += landed.num_rows();
        (void)context.buffer.combine(test::combine_request(context, landed, landed.x()));
      });
  std::int64_t sent = 0;
  std::int64_t summed = 0;
  std::uint64_t bytes = 0;
  for (const Trace& trace : traces) {
    for (const TraceEvent& event : trace.events) {
      sent += event.role == std::string("scale-up send") ? event.rows : 0;
      summed += event.role == std::string("combine accumulate") ? event.rows : 0;
      bytes += event.bytes;
    }
  }
  EXPECT_EQ(sent, landed_rows);
  EXPECT_EQ(summed, landed_rows);
  EXPECT_EQ(bytes, static_cast<std::uint64_t>(2 * landed_rows * 256 * 2));
}

TEST(TraceThreads, KeepsTheNewestAndCountsTheRestWhenTheRingIsSmall) {
  const std::vector<Trace> traces = trace_group(traced_config(16), [](const RankContext& context) {
    for (int i = 0; i < 10; ++i) {
      exchange(context);
    }
  });
  for (const Trace& trace : traces) {
    EXPECT_EQ(trace.events.size(), 2U * 16) << "of each worker";
    EXPECT_GT(trace.lost, 100U);
    EXPECT_EQ(trace.events.back().operation, 20U);
    EXPECT_EQ(trace.events.back().kind, TraceKind::kEnded);
  }
}

TEST(TraceThreads, CanBeTakenWhileWorkersWrite) {
  std::mutex mutex;
  std::vector<Trace> parts;
  const std::vector<Trace> rest = trace_group(traced_config(1000), [&](const RankContext& context) {
    for (int i = 0; i < 20; ++i) {
      PendingDispatch pending = context.buffer.issue(context.inputs.request());
      while (!pending.ready()) {
        const std::lock_guard lock(mutex);
        parts.push_back(context.buffer.take_trace());
      }
      (void)pending.finish();
    }
  });
  parts.insert(parts.end(), rest.begin(), rest.end());
  int ended = 0;
  for (const Trace& trace : parts) {
    EXPECT_EQ(trace.lost, 0U);
    EXPECT_TRUE(std::is_sorted(
        trace.events.begin(), trace.events.end(), [](const TraceEvent& a, const TraceEvent& b) {
          return a.time_ns < b.time_ns;
        }));
    ended += static_cast<int>(
        std::count_if(trace.events.begin(), trace.events.end(), [](const TraceEvent& event) {
          return event.kind == TraceKind::kEnded;
        }));
  }
  EXPECT_EQ(ended, 4 * 20 * (1 + 2 * 3)) << "no event twice, none missing";
}

TEST(TraceThreads, NamesTheRankThatCameLateInTheStallReport) {
  constexpr auto kLate = 300ms;
  const std::vector<Trace> traces =
      trace_group(traced_config(1000), [&](const RankContext& context) {
        exchange(context);
        (void)context.buffer.take_trace();
        if (context.rank == 2) {
          std::this_thread::sleep_for(kLate);
        }
        exchange(context);
      });
  const std::vector<bench::Stall> stalls = bench::find_stalls(bench::role_spans(traces), 4);
  ASSERT_EQ(stalls.size(), 2U);
  const bench::Stall& dispatch = stalls[0];
  EXPECT_EQ(dispatch.op, "dispatch");
  EXPECT_EQ(dispatch.operation, 3U);
  EXPECT_EQ(dispatch.blamed_rank, 2);
  EXPECT_GE(dispatch.blamed_late_ns, std::chrono::nanoseconds(kLate / 2).count());
  ASSERT_TRUE(dispatch.wait.has_value());
  EXPECT_THAT(bench::to_string(dispatch), HasSubstr("most waited for: rank 2"));
}

TEST(TraceThreads, SaysWhoWaitedForWhatAfterATimeout) {
  Config config = traced_config(1000);
  config.timeout = 400ms;
  const std::vector<Trace> traces = trace_group(config, [](const RankContext& context) {
    exchange(context);
    (void)context.buffer.take_trace();
    if (context.rank != 3) {
      EXPECT_THROW((void)context.buffer.dispatch(context.inputs.request()), Error);
    }
  });
  const std::vector<bench::Stall> stalls = bench::find_stalls(bench::role_spans(traces), 4);
  ASSERT_EQ(stalls.size(), 1U);
  EXPECT_FALSE(stalls[0].ended);
  EXPECT_EQ(stalls[0].blamed_rank, 3);
  EXPECT_THAT(bench::to_string(stalls[0]),
              AllOf(HasSubstr("It did not end; stuck: rank "),
                    HasSubstr("count exchange of channel 0, which waited"),
                    HasSubstr("for rank 3: its row counts")));
}

}  // namespace
}  // namespace switchyard
