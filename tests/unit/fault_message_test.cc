// What the tests on processes read out of PeerLost and Timeout.
#include "tests/support/fault_message.h"

#include <gtest/gtest.h>

#include "csrc/runtime/outcome.h"
#include "switchyard/error.h"

namespace switchyard::test {
namespace {

TEST(FaultMessage, ReadsWhoWaitedForWhomFromWhatTheRuntimeThrows) {
  targets::Fault fault{ErrorCode::kPeerLost, 2, protocol::RoleKind::kScaleUpReceive, {}, 47};
  fault.wait = {protocol::WaitKind::kRows, 13, 5, 1, 0};
  for (const int rank : {2, 0}) {
    for (const ErrorCode cause : {ErrorCode::kPeerLost, ErrorCode::kTimeout}) {
      fault.cause = cause;
      try {
        runtime::throw_fault(fault, rank, std::chrono::milliseconds(10));
      } catch (const Error& error) {
        const auto read = FaultMessage::read(error.what());
        ASSERT_TRUE(read) << error.what();
        EXPECT_EQ(read->text(), "2 scale-up receive 47 the arrival of its rows 13") << error.what();
        EXPECT_TRUE(read->is_step_of_dispatch(Layout::kPadded));
        EXPECT_FALSE(read->is_step_of_combine());
      }
    }
  }
  EXPECT_FALSE(FaultMessage::read("rank 3 failed: rank 3, count exchange, operation 4"));
}

}  // namespace
}  // namespace switchyard::test
