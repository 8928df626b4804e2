// One rank's part of a run: for each case it builds a buffer, measures dispatch, combine and their
// roofs in turn, and has the first and the last timed iteration checked byte by byte.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/case_plan.h"
#include "benchmarks/cli/case_samples.h"
#include "benchmarks/cli/start_line.h"
#include "benchmarks/common/rank_machine.h"
#include "switchyard/group.h"
#include "switchyard/trace.h"

namespace switchyard::bench {

/// `fraction` of the whole run that is done, and what is being done. Called outside every measured
/// time.
using OnProgress = std::function<void(double fraction, const std::string& doing)>;

/// The events of a case's timed iterations; with `failed`, of what a failure cut short, and then
/// other ranks may not come to this call.
using OnTrace = std::function<void(std::size_t case_idx, const Trace& trace, bool failed)>;

struct RunListener {
  OnProgress on_progress;
  OnTrace on_trace;  ///< called when BenchOptions::trace_events asks for a trace
};

class RankRunner {
 public:
  /// Lifetime: all references outlive this object
  RankRunner(Group& group,
             StartLine& start_line,
             const BenchOptions& options,
             RankMachine& machine,
             RunListener listener)
      : group_(group),
        start_line_(start_line),
        options_(options),
        machine_(machine),
        listener_(std::move(listener)) {}

  /// Collective.
  /// Errors: whatever Buffer and its operations throw
  std::vector<CaseSamples> run(const std::vector<CasePlan>& plans);

 private:
  CaseSamples run_case(const std::vector<CasePlan>& plans, std::size_t case_idx);

  Group& group_;
  StartLine& start_line_;
  const BenchOptions& options_;
  RankMachine& machine_;
  RunListener listener_;
};

}  // namespace switchyard::bench
