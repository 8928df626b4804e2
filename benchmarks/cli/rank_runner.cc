#include "benchmarks/cli/rank_runner.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>

#include "benchmarks/cli/machine.h"
#include "benchmarks/cli/roof_runner.h"
#include "benchmarks/common/reference.h"
#include "benchmarks/common/token_data.h"
#include "benchmarks/common/verifier.h"
#include "switchyard/buffer.h"

namespace switchyard::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Timed iterations of one case take about this long unless their number is given.
constexpr double kCaseBudgetUs = 6e6;
constexpr double kSweepCaseBudgetUs = 1.5e6;
constexpr int kFewestIterations = 10;
constexpr int kMostIterations = 200;

/// Iterations between two runs of the memcpy roofs. memcpy leaves its rows in the caches, still to
/// be written to memory, and what is timed next pays for it: always the library's dispatch, were
/// they run every time.
/// measured: deepseek-v3-train, 1024 tokens, 4 ranks on 2 cores with 32 MiB of last-level cache,
///   dispatch's share of its roof after memcpy roofs 0.85, after streaming ones 0.90; 2026-11-24
constexpr int kMemcpyRoofEvery = 8;

Config config_of(const BenchOptions& options, const CasePlan& plan) {
  Config config;
  config.heap_bytes = plan.heap_bytes;
  config.num_workers = options.num_workers;
  config.num_channels = options.num_channels;
  config.max_experts = plan.workload.num_experts;
  config.expert_copies = options.expert_copies;
  config.timeout = options.timeout;
  config.trace_events = options.trace_events;
  return config;
}

// Bytes of the tensors that the caller of this rank's operations holds.
std::uint64_t input_bytes(const RankInputs& inputs, const Workload& workload) {
  const RankRouting& routing = inputs.routing();
  return static_cast<std::uint64_t>(routing.num_tokens) *
             (workload.row_bytes() +
              scale_bytes_per_row(workload.carried_scales, workload.hidden)) +
         routing.topk_idx.size() * sizeof(std::int64_t) +
         routing.topk_weights.size() * sizeof(float);
}

// What an operation has needed so far: the tensors around it, its part of the heap, and private
// memory that was taken since this object was made. Ranks that are threads cannot tell whose
// private memory it is.
class PeakMemory {
 public:
  PeakMemory(RanksAs ranks_as, std::uint64_t inputs)
      : counts_private_(ranks_as != RanksAs::kThreads),
        inputs_(inputs),
        private_before_(private_bytes()) {}

  [[nodiscard]] std::uint64_t now(const Buffer& buffer) const {
    const std::uint64_t private_now = counts_private_ ? private_bytes() : private_before_;
    const std::uint64_t grown = private_now > private_before_ ? private_now - private_before_ : 0;
    const MemoryUse use = buffer.memory_use();
    return inputs_ + use.peak_used_bytes + use.control_bytes + grown;
  }

 private:
  bool counts_private_;
  std::uint64_t inputs_;
  std::uint64_t private_before_;
};

// One case on one rank.
class CaseRun {
 public:
  CaseRun(Group& group, StartLine& start_line, const BenchOptions& options, const CasePlan& plan)
      : group_(group),
        start_line_(start_line),
        plan_(plan),
        reference_(std::make_shared<const Reference>(plan.workload, group.rank(), plan.routing)),
        verifier_(reference_),
        inputs_(
            plan.workload, group.rank(), (*plan.routing)[static_cast<std::size_t>(group.rank())]),
        peak_memory_(options.ranks_as, input_bytes(inputs_, plan.workload)),
        buffer_(group, config_of(options, plan)) {
    samples_.num_workers = buffer_.config().num_workers;
    samples_.num_channels = buffer_.config().num_channels;
    samples_.heap_bytes = buffer_.config().heap_bytes;
    if (plan.workload.combine_dtype() != plan.workload.landed_dtype()) {
      expert_rows_ = buffer_.allocate(
          plan.workload.combine_dtype(),
          {static_cast<std::int64_t>(reference_->rows().size()), plan.workload.hidden});
      fill_expert_rows(*reference_, expert_rows_->view());
    }
  }

  /// Untimed iterations. Returns how long one iteration with its roofs takes on this rank, in
  /// microseconds.
  double warm_up(int num_iterations);
  /// Timed iterations, the first and the last of them checked.
  void measure(int num_iterations, const std::function<void(int)>& on_iteration);
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

  // All ranks of a machine share this clock.
  template <class Body>
  void run_timed(TimedRuns& runs, const Body& body) {
    start_line_.wait();
    const Clock::time_point begin = Clock::now();
    body();
    const Clock::time_point end = Clock::now();
    runs.begin_ns.push_back(std::chrono::nanoseconds(begin.time_since_epoch()).count());
    runs.end_ns.push_back(std::chrono::nanoseconds(end.time_since_epoch()).count());
  }

  void run_operations(const Step& step);
  void run_roofs(Roofs which);
  CombineRequest combine_request(const DispatchResult& landed) const;
  static void note(const VerifyReport& report, OpSamples& samples);

  Group& group_;
  StartLine& start_line_;
  const CasePlan& plan_;
  std::shared_ptr<const Reference> reference_;
  Verifier verifier_;
  RankInputs inputs_;
  PeakMemory peak_memory_;
  Buffer buffer_;
  std::optional<HeapTensor>
      expert_rows_;  // for fp8 rows, whose places are too small for the experts' outputs
  std::optional<RoofRunner> roofs_;
  CaseSamples samples_;
};

CombineRequest CaseRun::combine_request(const DispatchResult& landed) const {
  CombineRequest request;
  request.x = expert_rows_ ? expert_rows_->view() : landed.x();
  request.handle = landed.handle();
  if (plan_.workload.weighted_combine()) {
    request.topk_weights = inputs_.topk_weights();
  }
  return request;
}

void CaseRun::note(const VerifyReport& report, OpSamples& samples) {
  samples.rows_checked += report.rows_checked;
  if (!report.ok() && samples.first_mismatch.empty()) {
    samples.first_mismatch = report.first;
  }
}

void CaseRun::run_operations(const Step& step) {
  const DispatchRequest request = inputs_.request();
  DispatchResult landed;
  run_timed(samples_.dispatch.own, [&] { landed = buffer_.dispatch(request); });
  if (step.weigh) {
    samples_.dispatch.peak_bytes = peak_memory_.now(buffer_);
  }
  if (step.check) {
    note(verifier_.check_dispatch(landed), samples_.dispatch);
    if (!expert_rows_) {
      fill_expert_rows(*reference_, landed.x());
    }
  }
  CombineResult summed;
  const CombineRequest combine = combine_request(landed);
  run_timed(samples_.combine.own, [&] { summed = buffer_.combine(combine); });
  if (step.weigh) {
    samples_.combine.peak_bytes = peak_memory_.now(buffer_);
  }
  if (step.check) {
    note(verifier_.check_combine(summed), samples_.combine);
  }
  if (step.roofs != Roofs::kNone) {
    roofs_->aim(landed.x(), combine.x, summed.out());
    run_roofs(step.roofs);
  }
  if (step.poison) {
    start_line_.wait();  // the other ranks read this rank's rows until their combine is done
    poison(landed.x());
    poison(summed.out());
  }
}

void CaseRun::run_roofs(Roofs which) {
  if (which == Roofs::kBoth) {
    run_timed(samples_.dispatch.roof_memcpy, [&] { roofs_->run_dispatch(RoofCopy::kMemcpy); });
    run_timed(samples_.combine.roof_memcpy, [&] { roofs_->run_combine(RoofCopy::kMemcpy); });
    // What follows begins among rows that streaming stores wrote, as everywhere else.
    start_line_.wait();
    roofs_->run_combine(RoofCopy::kStreaming);
  }
  run_timed(samples_.dispatch.roof_streaming, [&] { roofs_->run_dispatch(RoofCopy::kStreaming); });
  run_timed(samples_.combine.roof_streaming, [&] { roofs_->run_combine(RoofCopy::kStreaming); });
}

double CaseRun::warm_up(int num_iterations) {
  for (int i = 0; i < num_iterations; ++i) {
    run_operations({.weigh = true});
  }
  // Only now: what the roofs and the checks need shall not count as the operations' memory.
  roofs_.emplace(start_line_, buffer_, reference_, inputs_, buffer_.config().num_workers);
  run_operations({.roofs = Roofs::kStreaming});
  const Clock::time_point begin = Clock::now();
  run_operations({.roofs = Roofs::kStreaming});
  const std::chrono::duration<double, std::micro> taken = Clock::now() - begin;
  run_operations({.poison = true});
  for (OpSamples* samples : {&samples_.dispatch, &samples_.combine}) {
    samples->own = {};
    samples->roof_streaming = {};
    samples->roof_memcpy = {};
  }
  return taken.count();
}

void CaseRun::measure(int num_iterations, const std::function<void(int)>& on_iteration) {
  for (int i = 0; i < num_iterations; ++i) {
    const bool first = i == 0;
    const bool last = i + 1 == num_iterations;
    run_operations({.check = first || last,
                    .poison = i + 2 == num_iterations,
                    .roofs = i % kMemcpyRoofEvery == 0 ? Roofs::kBoth : Roofs::kStreaming});
    on_iteration(i + 1);
  }
}

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
  CaseRun run(group_, start_line_, options_, plan);
  try {
    const double iteration_us = run.warm_up(std::max(options_.warmup, 1));
    const int num_iterations = agree_on_iterations(group_.bootstrap(), options_, iteration_us);
    (void)run.take_trace();  // of the warm-up
    run.measure(num_iterations,
                [&](int done) { report(static_cast<double>(done) / num_iterations); });
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
