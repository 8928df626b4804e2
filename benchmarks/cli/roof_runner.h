// The copy roofs of one rank, beside its operations: the same rows, the same number of threads,
// memory of the same kind.
#pragma once

#include <memory>
#include <optional>

#include "benchmarks/cli/case_plan.h"
#include "benchmarks/cli/crew.h"
#include "benchmarks/common/reference.h"
#include "benchmarks/common/roof.h"
#include "benchmarks/common/token_data.h"
#include "csrc/memory/symmetric_heap.h"
#include "switchyard/bootstrap.h"

namespace switchyard::bench {

/// Owns a symmetric heap of its own: the roof's copies cross between ranks exactly as the
/// operation's do, and the operation's peak memory is not blamed for it.
class RoofRunner {
 public:
  /// Collective. `inputs` outlives this object; `num_threads` as the operation's workers.
  RoofRunner(Bootstrap& bootstrap, const CasePlan& plan, const RankInputs& inputs, int num_threads);

  void run_dispatch(RoofCopy copy);
  void run_combine(RoofCopy copy);

 private:
  std::shared_ptr<const Reference> reference_;
  std::unique_ptr<memory::SymmetricHeap> heap_;
  std::optional<DispatchRoof> dispatch_;
  std::optional<CombineRoof> combine_;
  Crew crew_;
};

}  // namespace switchyard::bench
