// What the conformance suites of the transport have in common: a backend, and ranks as threads.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/rank_threads.h"
#include "tests/support/transport_backends.h"

namespace switchyard::test {

class TransportSuite : public ::testing::TestWithParam<TransportBackend> {
 protected:
  void SetUp() override {
    if (const std::string why = GetParam().why_not(); !why.empty()) {
      GTEST_SKIP() << why;
    }
  }

  /// Runs `body` on every rank of a fresh group, each with a region of `region_bytes`; element i
  /// is what rank i threw, or "".
  static std::vector<std::string> run(int num_ranks,
                                      std::uint64_t region_bytes,
                                      const std::function<void(TransportRank&)>& body) {
    auto bootstraps = make_in_process_bootstraps(num_ranks);
    const MakeTransport make = GetParam().make;
    return run_rank_threads(num_ranks, [&](int rank) {
      const auto bootstrap = std::move(bootstraps[static_cast<std::size_t>(rank)]);
      TransportRank mine(*bootstrap, make, region_bytes);
      body(mine);
    });
  }
};

}  // namespace switchyard::test
