// GoogleTest's main with one more argument: --seed=N replays one seed of the tests that draw many.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/support/seeds.h"

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--seed=", 7) == 0) {
      switchyard::test::replayed_seed() = std::stoull(argv[i] + 7);
    }
  }
  return RUN_ALL_TESTS();
}
