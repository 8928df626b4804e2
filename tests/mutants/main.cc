// Runs the protocol tests, then seeds of every campaign, over roles of which one check is broken.
// Prints what noticed: "killed by ...", or "survived".
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "mutants/active.h"
#include "tests/support/campaigns.h"

namespace {

/// A mutant that does not end is killed, too.
constexpr unsigned kMostSeconds = 60;

/// Notes the first test that fails, and prints nothing.
class FirstFailure final : public testing::EmptyTestEventListener {
 public:
  void OnTestEnd(const testing::TestInfo& test) override {
    if (name_.empty() && test.result()->Failed()) {
      name_ = fmt::format("protocol.{}.{}", test.test_suite_name(), test.name());
    }
  }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--mutant=", 9) == 0) {
      switchyard::mutants::active = std::stoi(argv[i] + 9);
    }
  }
  ::alarm(kMostSeconds);
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  auto* first_failure = new FirstFailure;  // the listeners own it
  listeners.Append(first_failure);
  if (RUN_ALL_TESTS() != 0) {
    fmt::print("killed by {}\n", first_failure->name());
    return 0;
  }
  const switchyard::test::Kill kill = switchyard::test::hunt();
  if (kill.killer.empty()) {
    fmt::print("survived {} runs\n", kill.runs);
  } else {
    fmt::print("killed by {} (run {}): {}\n", kill.killer, kill.runs, kill.how);
  }
  return 0;
}
