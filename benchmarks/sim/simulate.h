// One run of the simulator from a seed and options, and what became of it: what the command and the
// tests run, and how a failure is run again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "benchmarks/sim/exchange_plan.h"
#include "benchmarks/sim/exchange_run.h"
#include "benchmarks/sim/faults.h"

namespace switchyard::sim {

enum class PlanKind : std::uint8_t {
  kMixed,        ///< make_plan
  kWithdrawals,  ///< make_withdrawal_plan
};

struct SimOptions {
  PlanKind kind = PlanKind::kMixed;
  PlanLimits limits{};
  FaultOptions faults{};
  std::optional<ChosenLoss> lose{};
  FaultPlan::Control control = FaultPlan::Control::kNone;  ///< for tests of the judge
  std::string
      weaken{};  ///< an ordered operation of csrc/protocol that orders nothing, "FILE.h:LINE"
  std::function<void(const WeakMemory&)> at_end{};  ///< gets the memory of each run, and its events

  /// The one line that runs `seed` again.
  [[nodiscard]] std::string command_line(std::uint64_t seed) const;
};

struct SimReport {
  bool ok = true;
  std::string problem;  ///< what went wrong, the plan, the last operations, the line to replay it
  std::string plan;     ///< what was to be done, and what was in store
  std::uint64_t num_steps = 0;
  bool faulted = false;  ///< the group failed, as it had to
  bool lost = false;     ///< the run came to the moment at which it loses a rank
};

/// Runs one seed. When the run loses a rank, or its group failed, those who are left go on as a new
/// group.
SimReport simulate(const SimOptions& options, std::uint64_t seed, SiteLog* sites = nullptr);

}  // namespace switchyard::sim
