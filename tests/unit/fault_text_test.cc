// What is thrown for a fault of the group, in words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "csrc/runtime/outcome.h"
#include "switchyard/error.h"

namespace switchyard::runtime {
namespace {

using protocol::RoleKind;
using protocol::WaitKind;

std::string text_of(const targets::Fault& fault, int rank) {
  try {
    throw_fault(fault, rank, std::chrono::milliseconds(250));
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(FaultText, NamesReporterRoleAndWaitOfATimeout) {
  targets::Fault fault{ErrorCode::kTimeout, 2, RoleKind::kScaleUpReceive, {}, 7};
  fault.wait.kind = WaitKind::kRows;
  fault.wait.peer = 1;
  fault.wait.channel = 3;
  EXPECT_THAT(
      text_of(fault, 2),
      testing::AllOf(testing::HasSubstr("rank 1 made no progress for 250 ms"),
                     testing::HasSubstr("rank 2 (this rank), scale-up receive of channel 3"),
                     testing::HasSubstr("from rank 1")));
}

TEST(FaultText, SaysWhoseMessageWasDamaged) {
  targets::Fault fault{ErrorCode::kInternal, 2, RoleKind::kCountExchange, {}, 7};
  fault.wait.peer = 1;
  EXPECT_THAT(text_of(fault, 0),
              testing::HasSubstr("rank 2 failed: rank 2, operation 7: what rank 1 sent arrived "
                                 "damaged, or cannot be"));
}

TEST(FaultText, NamesTheRoleThatFailedByItself) {
  const targets::Fault fault{ErrorCode::kInternal, 2, RoleKind::kScaleUpSend, {}, 7};
  const std::string text = text_of(fault, 0);
  EXPECT_THAT(text, testing::HasSubstr("rank 2 failed: rank 2, scale-up send, operation 7"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("waited")));
}

}  // namespace
}  // namespace switchyard::runtime
