// Whom a rank accuses whose deadline has passed: who keeps it waiting in the end, at which step.
#include <gtest/gtest.h>

#include <map>

#include "csrc/targets/fault.h"

namespace switchyard::test {
namespace {

using protocol::RoleKind;
using protocol::WaitKind;
using targets::Fault;

Fault wait_of(int reporter, WaitKind kind, int peer, std::uint64_t epoch) {
  Fault fault{ErrorCode::kTimeout, reporter, RoleKind::kCountExchange, {}, epoch};
  fault.wait.kind = kind;
  fault.wait.peer = peer;
  fault.wait.channel = 0;
  return fault;
}

/// What `first` becomes where the other ranks wait as given.
Fault follow(const Fault& first, const std::map<int, Fault>& others) {
  return targets::follow_waits(first, 8, [&](int rank) {
    const auto at = others.find(rank);
    return at == others.end()
               ? protocol::Word{0}
               : protocol::make_wait(at->second.epoch, at->second.wait, at->second.role);
  });
}

void expect_same_step(const Fault& got, const Fault& wanted) {
  EXPECT_EQ(got.reporter, wanted.reporter);
  EXPECT_EQ(got.role, wanted.role);
  EXPECT_EQ(got.wait.kind, wanted.wait.kind);
  EXPECT_EQ(got.wait.peer, wanted.wait.peer);
  EXPECT_EQ(got.epoch, wanted.epoch);
}

TEST(FollowWaits, NamesTheFirstLinkWhenItsPeerWaitsForNobody) {
  const Fault first = wait_of(0, WaitKind::kAnswer, 1, 7);
  expect_same_step(follow(first, {}), first);
}

TEST(FollowWaits, NamesTheLastLinkWithTheOperationInWhichItWaits) {
  Fault last = wait_of(2, WaitKind::kRows, 3, 4);
  last.role = RoleKind::kScaleUpReceive;
  expect_same_step(follow(wait_of(0, WaitKind::kAnswer, 1, 7),
                          {{1, wait_of(1, WaitKind::kCounts, 2, 6)}, {2, last}}),
                   last);
}

TEST(FollowWaits, NamesTheEarliestStepOfARingWhoeverBegins) {
  const Fault missing = wait_of(2, WaitKind::kCounts, 1, 5);
  const std::map<int, Fault> ring{{1, wait_of(1, WaitKind::kAnswer, 2, 5)}, {2, missing}};
  expect_same_step(follow(ring.at(1), ring), missing);
  expect_same_step(follow(ring.at(2), ring), missing);
  expect_same_step(follow(wait_of(0, WaitKind::kCounts, 1, 4), ring), missing);
  // An earlier operation comes before an earlier step.
  const Fault behind = wait_of(1, WaitKind::kRows, 2, 4);
  expect_same_step(follow(missing, {{1, behind}, {2, missing}}), behind);
}

TEST(FollowWaits, EndsAtARankThatWaitsForItself) {
  const Fault self = wait_of(3, WaitKind::kPermit, 3, 2);
  expect_same_step(follow(self, {{3, self}}), self);
  expect_same_step(follow(wait_of(0, WaitKind::kCounts, 3, 2), {{3, self}}), self);
}

TEST(FollowWaits, KeepEveryFieldInOneWord) {
  protocol::WaitPoint wait;
  wait.kind = WaitKind::kConsumers;
  wait.peer = 65'535;
  wait.channel = 255;
  const protocol::Word word = protocol::make_wait(1, wait, RoleKind::kCombineAccumulate);
  EXPECT_EQ(protocol::wait_peer(word), 65'535);
  EXPECT_EQ(protocol::wait_channel(word), 255);
  EXPECT_EQ(protocol::wait_kind(word), WaitKind::kConsumers);
  EXPECT_EQ(protocol::wait_role(word), RoleKind::kCombineAccumulate);
  EXPECT_EQ(protocol::wait_peer(0), -1);
  constexpr std::uint64_t kNumbers[] = {9, (1U << 20U) - 1, 1U << 20U, (1ULL << 63U) + 3};
  for (const std::uint64_t number : kNumbers) {
    for (const std::uint64_t near : {number - 8, number, number + 8}) {
      EXPECT_EQ(protocol::wait_operation(protocol::make_wait(number, wait, RoleKind{}), near),
                number);
    }
  }
}

}  // namespace
}  // namespace switchyard::test
