// Brings the ranks of a run to life (children of this process, threads of one child, or the one
// rank that another launcher asks for), waits for them, and says what came of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/case_plan.h"
#include "benchmarks/cli/case_samples.h"
#include "benchmarks/cli/rank_channel.h"

namespace switchyard::bench {

struct LaunchResult {
  int exit_code = kExitOk;
  /// For people, with the rank and the reason; empty when exit_code is kExitOk.
  std::string failure{};
  /// By case, then by rank. Under another launcher only on rank 0; elsewhere empty there.
  std::vector<std::vector<CaseSamples>> samples{};
  /// By case, of the ranks that sent theirs; after a failure, too.
  TraceUnpacker traces{};
};

/// Runs all cases on all ranks. When it returns, every process it started has ended.
/// Called by: the process's only thread (it forks before any rank starts one)
/// Errors:    SystemError when the system refuses sockets, memory or processes
LaunchResult launch(const BenchOptions& options,
                    const std::vector<CasePlan>& plans,
                    const RankMessages::OnProgress& on_progress);

}  // namespace switchyard::bench
