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
#include "switchyard/group.h"

namespace switchyard::bench {

/// `fraction` of the whole run that is done, and what is being done. Called outside every measured
/// time.
using OnProgress = std::function<void(double fraction, const std::string& doing)>;

class RankRunner {
 public:
  /// Lifetime: all references outlive this object
  RankRunner(Group& group,
             StartLine& start_line,
             const BenchOptions& options,
             OnProgress on_progress)
      : group_(group),
        start_line_(start_line),
        options_(options),
        on_progress_(std::move(on_progress)) {}

  /// Collective.
  /// Errors: whatever Buffer and its operations throw
  std::vector<CaseSamples> run(const std::vector<CasePlan>& plans);

 private:
  Group& group_;
  StartLine& start_line_;
  const BenchOptions& options_;
  OnProgress on_progress_;
};

}  // namespace switchyard::bench
