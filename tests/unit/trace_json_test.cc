#include "benchmarks/common/trace_json.h"

#include <gmock/gmock.h>

#include <string>

#include "benchmarks/common/trace_spans.h"
#include "tests/support/trace_events.h"

namespace switchyard::bench {
namespace {

using test::trace_of;
using ::testing::ElementsAre;

constexpr const char* kRows = "the arrival of its rows";

TEST(TraceSpans, HoldStepsAndWaitsOfEachRole) {
  Trace trace = trace_of(2)
                    .began(10)
                    .blocked(10, kRows, 1)
                    .advanced(14, 3, 5)
                    .blocked(18, kRows, 0)
                    .blocked(19, kRows, 3)
                    .ended(25)
                    .trace;
  trace.clock_offset_ns = 1'000'000;
  const std::vector<RoleSpan> spans = role_spans({trace});
  ASSERT_EQ(spans.size(), 1U);
  const RoleSpan& span = spans[0];
  EXPECT_EQ(span.rank, 2);
  EXPECT_TRUE(span.whole());
  EXPECT_EQ(span.begin_ns, 1'010'000);
  EXPECT_EQ(span.end_ns, 1'026'000);
  ASSERT_EQ(span.steps.size(), 2U);
  EXPECT_EQ(span.steps[0].rows, 5U);
  EXPECT_EQ(span.steps[0].end_ns, 1'017'000);
  ASSERT_EQ(span.waits.size(), 3U);
  EXPECT_EQ(span.waits[0].length_ns(), 4'000);
  EXPECT_EQ(span.waits[1].length_ns(), 1'000);
  EXPECT_EQ(span.waits[2].length_ns(), 6'000);
  EXPECT_EQ(span.waits[2].peer, 3);
}

TEST(TraceSpans, AreMarkedWhenTheirEndsAreMissing) {
  const Trace trace = trace_of(0)
                          .advanced(1, 1)  // its beginning was overwritten
                          .ended(3)
                          .with("dispatch", 2, "scale-up send", 0)
                          .began(5)
                          .blocked(5, kRows, 1)
                          .with("dispatch", 2, "scale-up receive", 1)
                          .began(6)
                          .dropped(9)
                          .trace;
  const std::vector<RoleSpan> spans = role_spans({trace});
  ASSERT_EQ(spans.size(), 3U);
  EXPECT_FALSE(spans[0].saw_begin);
  EXPECT_TRUE(spans[0].ended);
  EXPECT_FALSE(spans[1].ended);
  EXPECT_EQ(spans[1].waits[0].length_ns(), 4'000) << "until the rank's last event";
  EXPECT_FALSE(spans[2].ended);
  EXPECT_EQ(spans[2].channel, 1);
}

TEST(TraceJson, IsThisTextForThisTrace) {
  const Trace rank_0 =
      trace_of(0).began(100).blocked(100, kRows, 1).advanced(105, 2, 4).ended(108).trace;
  const Trace rank_1 =
      trace_of(1).with("combine", 2, "combine announce", 0).began(101).ended(101).trace;
  const nlohmann::ordered_json document = to_perfetto({{"small", {rank_0, rank_1}}});
  const std::string expected =
      R"({"traceEvents":[)"
      R"({"ph":"M","name":"process_name","pid":0,"tid":0,"args":{"name":"rank 0"}},)"
      R"({"ph":"M","name":"thread_name","pid":0,"tid":1,"args":{"name":"channel 0 scale-up send"}},)"
      R"({"ph":"X","name":"dispatch 1","cat":"role","pid":0,"tid":1,"ts":0.0,"dur":9.0,)"
      R"("args":{"operation":1,"case":"small","worker":0,"ended":true}},)"
      R"({"ph":"X","name":"step","cat":"step","pid":0,"tid":1,"ts":5.0,"dur":2.0,)"
      R"("args":{"rows":4,"bytes":64}},)"
      R"({"ph":"X","name":"step","cat":"step","pid":0,"tid":1,"ts":8.0,"dur":1.0,)"
      R"("args":{"rows":0,"bytes":0}},)"
      R"({"ph":"X","name":"wait: rank 1, the arrival of its rows","cat":"wait","pid":0,"tid":1,)"
      R"("ts":0.0,"dur":5.0,"args":{"for":"the arrival of its rows","peer":1}},)"
      R"({"ph":"M","name":"process_name","pid":1,"tid":0,"args":{"name":"rank 1"}},)"
      R"({"ph":"M","name":"thread_name","pid":1,"tid":1,)"
      R"("args":{"name":"channel 0 combine announce"}},)"
      R"({"ph":"X","name":"combine 2","cat":"role","pid":1,"tid":1,"ts":1.0,"dur":1.0,)"
      R"("args":{"operation":2,"case":"small","worker":0,"ended":true}},)"
      R"({"ph":"X","name":"step","cat":"step","pid":1,"tid":1,"ts":1.0,"dur":1.0,)"
      R"("args":{"rows":0,"bytes":0}}],)"
      R"("displayTimeUnit":"ns","otherData":{"origin_ns":100000,"traces":[)"
      R"({"case":"small","rank":0,"events":4,"lost":0,"clock_offset_ns":0},)"
      R"({"case":"small","rank":1,"events":2,"lost":0,"clock_offset_ns":0}]}})";
  EXPECT_EQ(document.dump(), expected);
}

TEST(TraceJson, GivesATrackOfItsOwnToAnOperationThatOverlaps) {
  const Trace trace = trace_of(0)
                          .began(1)
                          .with("dispatch", 2, "scale-up send", 0)
                          .began(2)
                          .with("dispatch", 1, "scale-up send", 0)
                          .ended(4)
                          .with("dispatch", 2, "scale-up send", 0)
                          .ended(6)
                          .with("dispatch", 3, "scale-up send", 0)
                          .began(8)
                          .ended(9)
                          .trace;
  std::vector<std::string> names;
  std::vector<int> tracks;
  const nlohmann::ordered_json document = to_perfetto({{"overlap", {trace}}});
  for (const auto& event : document.at("traceEvents")) {
    if (event.at("name") == "thread_name") {
      names.push_back(event.at("args").at("name"));
    } else if (event.value("cat", "") == "role") {
      tracks.push_back(event.at("tid"));
    }
  }
  EXPECT_THAT(names, ElementsAre("channel 0 scale-up send", "channel 0 scale-up send #2"));
  EXPECT_THAT(tracks, ElementsAre(1, 1, 2)) << "operations 1 and 3, then 2";
}

TEST(TraceJson, ComesOutAsItWentInWhenItIsPacked) {
  Trace trace =
      trace_of(3).began(1).blocked(1, kRows, 2).advanced(5, 1, 7).advanced(6, 1).ended(9).trace;
  trace.lost = 11;
  trace.clock_offset_ns = -5;
  TraceUnpacker unpacker;
  const std::vector<nlohmann::json> documents = pack_trace(trace, 2);
  EXPECT_EQ(documents.size(), 3U);
  for (const nlohmann::json& document : documents) {
    unpacker.take(1, nlohmann::json::parse(document.dump()));
  }
  unpacker.take(1, pack_trace(trace_of(0).trace, 2).at(0));
  const TraceUnpacker moved = std::move(unpacker);
  ASSERT_EQ(moved.by_case().size(), 2U);
  EXPECT_TRUE(moved.by_case()[0].empty());
  ASSERT_EQ(moved.by_case()[1].size(), 2U);
  EXPECT_EQ(moved.by_case()[1][0].rank, 0);
  const Trace& copy = moved.by_case()[1][1];
  EXPECT_EQ(copy.rank, 3);
  EXPECT_EQ(copy.lost, 11U);
  EXPECT_EQ(copy.clock_offset_ns, -5);
  EXPECT_EQ(to_perfetto({{"a", {copy}}}), to_perfetto({{"a", {trace}}}));
}

TEST(TraceJson, IsADocumentWithoutEventsWhenNothingWasTraced) {
  const nlohmann::ordered_json document = to_perfetto({});
  EXPECT_TRUE(document.at("traceEvents").empty());
  EXPECT_EQ(document.at("otherData").at("origin_ns"), 0);
}

}  // namespace
}  // namespace switchyard::bench
