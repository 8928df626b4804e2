#include "benchmarks/cli/rank_runner.h"

#include <algorithm>
#include <span>

#include "benchmarks/cli/case_run.h"
#include "switchyard/buffer.h"

namespace switchyard::bench {
namespace {

/// Timed iterations of one case take about this long unless their number is given.
constexpr double kCaseBudgetUs = 6e6;
constexpr double kSweepCaseBudgetUs = 1.5e6;
constexpr int kFewestIterations = 10;
constexpr int kMostIterations = 200;

// As many as fit in the budget of a case on the slowest rank: the same number on all.
int agree_on_iterations(Bootstrap& bootstrap, const BenchOptions& options, double iteration_us) {
  if (options.iterations > 0) {
    return options.iterations;
  }
  std::vector<double> all(static_cast<std::size_t>(bootstrap.num_ranks()));
  bootstrap.all_gather(std::as_bytes(std::span(&iteration_us, 1)),
                       std::as_writable_bytes(std::span(all)));
  const double slowest_us = std::max(*std::max_element(all.begin(), all.end()), 1.0);
  const double budget_us =
      (options.is_sweep() ? kSweepCaseBudgetUs : kCaseBudgetUs) / options.rounds;
  return std::clamp(static_cast<int>(budget_us / slowest_us),
                    (kFewestIterations + options.rounds - 1) / options.rounds,
                    std::max(kMostIterations / options.rounds, 1));
}

}  // namespace

std::vector<CaseSamples> RankRunner::run(const std::vector<CasePlan>& plans) {
  std::vector<CaseSamples> all;
  for (std::size_t case_idx = 0; case_idx < plans.size(); ++case_idx) {
    all.push_back(run_case(plans, case_idx));
  }
  return all;
}

CaseSamples RankRunner::run_case(const std::vector<CasePlan>& plans, std::size_t case_idx) {
  const CasePlan& plan = plans[case_idx];
  const auto report = [&](double case_fraction) {
    listener_.on_progress(
        (static_cast<double>(case_idx) + case_fraction) / static_cast<double>(plans.size()),
        case_name(plan.workload));
  };
  const bool traced = options_.trace_events > 0;
  report(0.0);
  CaseRun run({group_, start_line_, options_, plan, machine_});
  try {
    const double iteration_us = run.warm_up(std::max(options_.warmup, 1));
    const int num_iterations = agree_on_iterations(group_.bootstrap(), options_, iteration_us);
    (void)run.take_trace();  // of the warm-up
    run.measure(num_iterations,
                [&](int done) { report(static_cast<double>(done) / num_iterations); });
    run.measure_companion();
    start_line_.wait();  // no rank takes its memory away while another may still read it
  } catch (const std::exception&) {
    if (traced) {
      listener_.on_trace(case_idx, run.take_trace(), true);
    }
    throw;
  }
  if (traced) {
    listener_.on_trace(case_idx, run.take_trace(), false);
  }
  return run.take_samples();
}

}  // namespace switchyard::bench
