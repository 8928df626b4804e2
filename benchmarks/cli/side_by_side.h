// Ours and the rivals in turns on the same cases, so that a machine whose memory is fast in one
// minute and slow in the next treats all alike.
#pragma once

#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/case_plan.h"
#include "benchmarks/cli/launcher.h"
#include "benchmarks/cli/versus_mpi.h"

namespace switchyard::bench {

/// Rounds of one case. In each, ours and every rival start anew, warm up and measure their share of
/// the iterations; every second round goes in the opposite order, so that an even number of rounds
/// cancels a steady drift. measured: 2-core EPYC virtual machine, deepseek-v3-decode, 2026-11-24:
/// its memory changes between a fast and a slow state every 2 to 10 s, a turn takes about one; with
/// 4 rounds a party could meet mostly slow ones (ratios of three runs 2.5, 3.9 and 4.1).
inline constexpr int kMostRounds = 10;
/// Of each case of a sweep, which has many and shows a trend.
inline constexpr int kMostSweepRounds = 4;
static_assert(kMostRounds % 2 == 0 && kMostSweepRounds % 2 == 0);

/// As many as the iterations of a case can be dealt to; 1 under a launcher, whose ranks start once.
int num_rounds(const BenchOptions& options);

/// Iterations of round `round` (0 ...) when `total` are dealt to `num_rounds`.
int share_of_round(int total, int round, int num_rounds);

struct SideBySide {
  LaunchResult own{};  ///< samples of all rounds; a rival that the user ended counts as interrupted
  std::vector<std::vector<MpiTimes>> rivals{};  ///< by case, then as kMpiRivals
};

/// Measures all cases, one after the other.
/// Called by: the process's only thread (it forks)
/// Errors:    as launch and run_mpi
SideBySide measure_side_by_side(const BenchOptions& options,
                                const std::vector<CasePlan>& plans,
                                const RankMessages::OnProgress& on_progress);

}  // namespace switchyard::bench
