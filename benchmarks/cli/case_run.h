// One case on one rank: its buffer, its tensors, and the iterations that are timed and checked.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/case_plan.h"
#include "benchmarks/cli/case_samples.h"
#include "benchmarks/cli/roof_runner.h"
#include "benchmarks/cli/start_line.h"
#include "benchmarks/common/rank_machine.h"
#include "benchmarks/common/reference.h"
#include "benchmarks/common/token_data.h"
#include "benchmarks/common/verifier.h"
#include "switchyard/buffer.h"
#include "switchyard/group.h"

namespace switchyard::bench {

/// What an operation has needed so far: the tensors around it, its part of the heap, and private
/// memory that was taken since this object was made. Ranks that are threads cannot tell whose
/// private memory it is.
class PeakMemory {
 public:
  PeakMemory(RanksAs ranks_as, std::uint64_t inputs);

  [[nodiscard]] std::uint64_t now(const Buffer& buffer) const;

 private:
  bool counts_private_;
  std::uint64_t inputs_;
  std::uint64_t private_before_;
};

/// What a case runs in. Lifetime: all of it outlives the case
struct CaseSurroundings {
  Group& group;
  StartLine& start_line;
  const BenchOptions& options;
  const CasePlan& plan;
  RankMachine& machine;
};

/// Every call is collective. Errors: whatever Buffer and its operations throw
class CaseRun {
 public:
  explicit CaseRun(const CaseSurroundings& surroundings);

  /// Untimed iterations. Returns how long one iteration with its roofs takes on this rank, in
  /// microseconds.
  double warm_up(int num_iterations);
  /// Timed iterations, the first and the last of them checked.
  void measure(int num_iterations, const std::function<void(int)>& on_iteration);
  /// The companion that the options ask for, alone and beside operations that follow each other.
  void measure_companion();
  CaseSamples take_samples() { return std::move(samples_); }
  Trace take_trace() { return buffer_.take_trace(); }

 private:
  enum class Roofs : std::uint8_t { kNone, kStreaming, kBoth };
  struct Step {
    bool check = false;          ///< every byte of both results; their memory was poisoned before
    bool poison = false;         ///< the results' memory, for a check that follows
    bool weigh = false;          ///< note the memory in use
    Roofs roofs = Roofs::kNone;  ///< over the results' memory, once these are checked
  };

  /// `repeats`: of the operation in `body`; the time of one is noted.
  template <class Body>
  void run_timed(TimedRuns& runs, const Body& body, int repeats = 1);
  void run_operations(const Step& step);
  DispatchResult dispatch();
  /// Both operations as graphs, whose results stay.
  void record_graphs();
  void run_graphs(const Step& step);
  void finish_step(const Step& step, const DispatchResult& landed, const CombineResult& summed);
  CombineRequest combine_request(const DispatchResult& landed) const;
  void check_dispatch(const DispatchResult& landed);
  void check_combine(const CombineResult& summed);
  void fill_rows(const TensorView& rows);
  void poison_rows(const TensorView& rows);
  void run_roofs(Roofs which, const DispatchResult& landed, const CombineResult& summed);
  void run_host_roofs(Roofs which);
  static void note(const VerifyReport& report, OpSamples& samples);

  CaseSurroundings at_;
  std::shared_ptr<const Reference> reference_;
  Verifier verifier_;
  RankInputs inputs_;
  PeakMemory peak_memory_;
  std::unique_ptr<TensorMemory> memory_;  ///< the inputs as the buffer reaches them
  DispatchRequest request_;
  ConstTensorView combine_weights_;
  Buffer buffer_;
  /// For fp8 rows, whose places are too small for the experts' outputs.
  std::optional<HeapTensor> expert_rows_;
  TensorView staged_;                ///< DeviceOptions::staged: the second copy of what landed
  std::optional<RoofRunner> roofs_;  // on the host
  /// DeviceOptions::graph: recorded once; results lie where every launch puts them.
  struct Graphs {
    DispatchResult landed;
    CombineResult summed;
    std::unique_ptr<RecordedWork> dispatch;
    std::unique_ptr<RecordedWork> combine;
  };
  std::optional<Graphs> graphs_;
  bool leads_device_ = false;  // the first of the ranks that share one
  CaseSamples samples_;
};

}  // namespace switchyard::bench
