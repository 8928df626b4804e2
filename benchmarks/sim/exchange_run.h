// Runs an ExchangePlan on a World under a seeded scheduler: each rank's caller issues, finishes,
// checks and releases at moments of the scheduler's choice, its roles step and its stores become
// visible in between, and what the FaultPlan has in store happens on the way.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/sim/exchange_plan.h"
#include "benchmarks/sim/fault_judge.h"
#include "benchmarks/sim/faults.h"
#include "benchmarks/sim/naive_exchange.h"
#include "benchmarks/sim/rank_program.h"
#include "benchmarks/sim/world.h"
#include "csrc/targets/sim/group_watch.h"

namespace switchyard::sim {

/// One run. How often who acts is drawn once, so that in some runs ranks, roles or stores lag far
/// behind.
class ExchangeRun {
 public:
  /// Virtual; longer than any healthy run.
  static constexpr std::uint64_t kTimeoutNs = 10'000'000'000;

  ExchangeRun(const ExchangePlan& plan, WorldOptions options, const FaultPlan& faults = {});

  /// Runs to the end. Throws ModelViolation: a wrong byte, a foreign store, a group that is stuck,
  /// a fault that names the wrong rank.
  void run();

  [[nodiscard]] std::uint64_t num_steps() const { return num_steps_; }
  [[nodiscard]] RankEnd end_of(int rank) const { return ends_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] std::string trace_text(std::size_t count) const {
    return world_.memory().trace_text(count);
  }
  [[nodiscard]] const WeakMemory& memory() const { return world_.memory(); }
  /// What the group's fault says at `rank`.
  [[nodiscard]] const std::optional<targets::Fault>& fault_at(int rank) const {
    return watch_.fault_at(rank);
  }

 private:
  struct RankPace {
    int rank = 1;
    int roles = 1;
    int stores = 1;
    int caller = 1;
  };

  WorldOptions prepare(WorldOptions options);
  bool act();
  int pick_rank();
  bool act_as(int rank);
  bool step_one_role(int rank);
  bool step_role(SimRole& role, int rank);
  bool step_program(int rank);
  int role_pace(int warp);
  bool sweep();
  bool let_time_pass();
  bool look_at_peers(int rank);
  bool look_at_itself(int rank);
  [[nodiscard]] protocol::Word wait_of(int rank);
  void lose_victim();
  void end_rank(int rank, RankEnd end);
  [[nodiscard]] bool is_acting(int rank) const { return end_of(rank) == RankEnd::kActing; }
  void check_nothing_is_lost();
  void abort_victim();
  void check_faults();
  [[nodiscard]] std::string describe_waits();

  const ExchangePlan& plan_;
  FaultPlan faults_;
  Clock clock_;
  BitFlip flip_;
  mutable World world_;
  GroupWatch watch_;
  NaiveExchange naive_;
  Outcomes outcomes_;
  std::mt19937_64 random_;
  std::vector<RankPace> paces_;
  int network_pace_ = 0;         // against 16 for all ranks
  std::vector<int> role_paces_;  // by warp
  std::vector<RankProgram> programs_;
  std::vector<RankEnd> ends_;
  FaultJudge judge_;
  std::uint64_t num_steps_ = 0;
  std::uint64_t victim_turns_ = 0;
  std::uint64_t last_progress_ns_ = 0;
};

/// The world that a plan needs.
WorldOptions world_options(const ExchangePlan& plan, std::uint64_t seed);

}  // namespace switchyard::sim
