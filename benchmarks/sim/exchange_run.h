// Runs an ExchangePlan on a World under a seeded scheduler: each rank's caller issues,
// finishes, checks and releases at moments of the scheduler's choice, its roles step and its stores
// become visible in between.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/sim/exchange_plan.h"
#include "benchmarks/sim/naive_exchange.h"
#include "benchmarks/sim/rank_program.h"
#include "benchmarks/sim/world.h"

namespace switchyard::sim {

/// One run. How often who acts is drawn once, so that in some runs ranks, roles or stores lag far
/// behind.
class ExchangeRun {
 public:
  ExchangeRun(const ExchangePlan& plan, const WorldOptions& options);

  /// Runs to the end. Throws ModelViolation: a wrong byte, a foreign store, a group that is stuck.
  void run();

  [[nodiscard]] std::uint64_t num_steps() const { return num_steps_; }
  [[nodiscard]] std::string trace_text(std::size_t count) const {
    return world_.memory().trace_text(count);
  }

 private:
  struct RankPace {
    int rank = 1;
    int roles = 1;
    int stores = 1;
    int caller = 1;
  };

  bool act();
  bool step_role(WorldRank& rank);
  int role_pace(int warp);
  bool sweep();
  void check_nothing_is_lost();
  [[nodiscard]] std::string describe_waits();

  const ExchangePlan& plan_;
  mutable World world_;
  NaiveExchange naive_;
  Outcomes outcomes_;
  std::mt19937_64 random_;
  std::vector<RankPace> paces_;
  std::vector<int> role_paces_;  // by warp
  std::vector<RankProgram> programs_;
  std::uint64_t num_steps_ = 0;
};

/// The world that a plan needs.
WorldOptions world_options(const ExchangePlan& plan, std::uint64_t seed);

}  // namespace switchyard::sim
