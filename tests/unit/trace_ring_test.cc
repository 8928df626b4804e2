#include "csrc/protocol/trace.h"

#include <gmock/gmock.h>

#include <vector>

namespace switchyard::protocol {
namespace {

using ::testing::ElementsAre;

/// A ring with its memory.
struct Ring {
  explicit Ring(std::size_t capacity) : records(capacity) {
    view = {records.data(), records.size(), 0};
  }
  [[nodiscard]] std::vector<TraceKind> kinds() const {
    std::vector<TraceKind> all;
    for (std::uint64_t i = 0; i < view.size(); ++i) {
      all.push_back(view.at(i).kind);
    }
    return all;
  }
  [[nodiscard]] std::vector<std::uint64_t> times() const {
    std::vector<std::uint64_t> all;
    for (std::uint64_t i = 0; i < view.size(); ++i) {
      all.push_back(view.at(i).time_ns);
    }
    return all;
  }

  std::vector<TraceRecord> records;
  TraceRing view;
};

TraceRecord record_at(std::uint64_t time_ns) {
  TraceRecord record{};
  record.time_ns = time_ns;
  return record;
}

TracedStep step_of(Progress progress, std::uint64_t begin_ns, std::uint64_t end_ns) {
  return {.progress = progress, .begin_ns = begin_ns, .end_ns = end_ns};
}

TEST(TraceRing, IsOffWhenItHasNoMemory) {
  const TraceRing ring;
  EXPECT_FALSE(ring.on());
  EXPECT_EQ(ring.size(), 0U);
  EXPECT_EQ(ring.lost(), 0U);
}

TEST(TraceRing, KeepsTheNewestInOrderWhenItWraps) {
  Ring ring(3);
  for (std::uint64_t time = 1; time <= 3; ++time) {
    ring.view.push(record_at(time));
  }
  EXPECT_THAT(ring.times(), ElementsAre(1, 2, 3));
  EXPECT_EQ(ring.view.lost(), 0U);
  ring.view.push(record_at(4));
  ring.view.push(record_at(5));
  EXPECT_THAT(ring.times(), ElementsAre(3, 4, 5));
  EXPECT_EQ(ring.view.lost(), 2U);
  for (std::uint64_t time = 6; time <= 9; ++time) {
    ring.view.push(record_at(time));
  }
  EXPECT_THAT(ring.times(), ElementsAre(7, 8, 9));
  EXPECT_EQ(ring.view.lost(), 6U);
}

TEST(MovedRows, TellsRowsFromBytesWhenItsNumberWraps) {
  MovedRows moved;
  for (int i = 0; i < 20'000; ++i) {
    moved.add(1000, 14'336);  // 2^24 rows are soon passed
    const MovedRows before = moved;
    moved.add(2, 14'336);
    moved.add(1, 0);
    ASSERT_EQ(moved.since(before).rows(), 3U);
    ASSERT_EQ(moved.since(before).bytes(), 2U * 14'336);
  }
}

TEST(RoleTrace, RecordsEachWaitOnceHoweverOftenItIsPolled) {
  Ring ring(16);
  RoleTrace role(RoleKind::kScaleUpReceive, 3, 7);
  const WaitPoint rank_1{.kind = WaitKind::kRows, .peer = 1, .channel = 3};
  const WaitPoint rank_2{.kind = WaitKind::kRows, .peer = 2, .channel = 3};
  for (std::uint64_t poll = 0; poll < 5; ++poll) {
    role.note(ring.view, step_of(Progress::kBlocked, 100 + poll, 101 + poll), rank_1);
  }
  for (std::uint64_t poll = 0; poll < 5; ++poll) {
    role.note(ring.view, step_of(Progress::kBlocked, 200 + poll, 201 + poll), rank_2);
  }
  role.note(ring.view, step_of(Progress::kAdvanced, 300, 350), rank_2);
  role.note(ring.view, step_of(Progress::kBlocked, 360, 361), rank_2);
  role.note(ring.view, step_of(Progress::kDone, 400, 410), rank_2);
  EXPECT_THAT(ring.kinds(),
              ElementsAre(TraceKind::kBegan,
                          TraceKind::kBlocked,
                          TraceKind::kBlocked,
                          TraceKind::kAdvanced,
                          TraceKind::kBlocked,
                          TraceKind::kEnded));
  EXPECT_THAT(ring.times(), ElementsAre(100, 100, 200, 300, 360, 400));
  const TraceRecord& wait = ring.view.at(2);
  EXPECT_EQ(wait.peer, 2);
  EXPECT_EQ(wait.wait, WaitKind::kRows);
  EXPECT_EQ(wait.role, RoleKind::kScaleUpReceive);
  EXPECT_EQ(wait.channel, 3);
  EXPECT_EQ(wait.operation, 7U);
  EXPECT_EQ(ring.view.at(3).duration_ns, 50U);
}

TEST(RoleTrace, RoundsBytesUpAndHoldsAtTheLimitWhenAStepIsHuge) {
  Ring ring(4);
  RoleTrace role(RoleKind::kScaleUpSend, 0, (std::uint64_t{5} << 32U) + 9);
  TracedStep step = step_of(Progress::kAdvanced, 10, 10 + (std::uint64_t{1} << 40U));
  step.moved.add(3, 15);
  role.note(ring.view, step, {});
  const TraceRecord& record = ring.view.at(1);
  EXPECT_EQ(record.duration_ns, UINT32_MAX);
  EXPECT_EQ(record.rows, 3U);
  EXPECT_EQ(record.bytes, 3U) << "45 bytes in units of 16";
  EXPECT_EQ(record.operation, 9U);
}

TEST(RoleTrace, SaysSoWhenARoleIsDropped) {
  Ring ring(4);
  RoleTrace role(RoleKind::kCombineAnnounce, 0, 1);
  role.note(ring.view, step_of(Progress::kBlocked, 1, 2), {.kind = WaitKind::kAnnounce, .peer = 1});
  role.drop(ring.view, 50);
  EXPECT_THAT(ring.kinds(),
              ElementsAre(TraceKind::kBegan, TraceKind::kBlocked, TraceKind::kDropped));
}

}  // namespace
}  // namespace switchyard::protocol
