#include "benchmarks/cli/case_run.h"

#include <algorithm>
#include <utility>

#include "benchmarks/cli/machine.h"

namespace switchyard::bench {
namespace {

/// Iterations between two runs of the memcpy roofs. memcpy leaves its rows in the caches, still to
/// be written to memory, and what is timed next pays for it: always the library's dispatch, were
/// they run every time.
/// measured: deepseek-v3-train, 1024 tokens, 4 ranks on 2 cores with 32 MiB of last-level cache,
///   dispatch's share of its roof after memcpy roofs 0.85, after streaming ones 0.90; 2026-11-24
constexpr int kMemcpyRoofEvery = 8;

/// Runs of a companion alone, and amounts of its work beside operations.
constexpr int kCompanionRuns = 5;

Config config_of(const BenchOptions& options, const CasePlan& plan) {
  Config config;
  config.heap_bytes = plan.heap_bytes;
  config.num_workers = options.num_workers;
  config.num_channels = options.num_channels;
  config.max_experts = plan.workload.num_experts;
  config.expert_copies = options.expert_copies;
  config.timeout = options.timeout;
  config.trace_events = options.trace_events;
  if (options.device.on_device()) {
    config.target = Target::kCuda;
    config.cache_hints = options.device.cache_hints;
    config.num_sms = options.device.num_sms != 0 ? options.device.num_sms : config.num_sms;
  }
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

DispatchRequest request_of(const RankInputs& inputs,
                           const Reference& reference,
                           TensorMemory& memory) {
  DispatchRequest request = inputs.request();
  request.x = memory.given(request.x);
  request.scales = memory.given(request.scales);
  request.topk_idx = memory.given(request.topk_idx);
  request.topk_weights = memory.given(request.topk_weights);
  if (reference.workload().layout != Layout::kPadded) {
    request.max_rows = static_cast<std::int64_t>(reference.rows().size());
  }
  return request;
}

const RankRouting& routing_of(const CaseSurroundings& at) {
  return (*at.plan.routing)[static_cast<std::size_t>(at.group.rank())];
}

}  // namespace

PeakMemory::PeakMemory(RanksAs ranks_as, std::uint64_t inputs)
    : counts_private_(ranks_as != RanksAs::kThreads),
      inputs_(inputs),
      private_before_(private_bytes()) {}

std::uint64_t PeakMemory::now(const Buffer& buffer) const {
  const std::uint64_t private_now = counts_private_ ? private_bytes() : private_before_;
  const std::uint64_t grown = private_now > private_before_ ? private_now - private_before_ : 0;
  const MemoryUse use = buffer.memory_use();
  return inputs_ + use.peak_used_bytes + use.control_bytes + grown;
}

CaseRun::CaseRun(const CaseSurroundings& surroundings)
    : at_(surroundings),
      reference_(
          std::make_shared<const Reference>(at_.plan.workload, at_.group.rank(), at_.plan.routing)),
      verifier_(reference_),
      inputs_(at_.plan.workload, at_.group.rank(), routing_of(at_)),
      peak_memory_(at_.options.ranks_as, input_bytes(inputs_, at_.plan.workload)),
      memory_(at_.machine.make_memory()),
      request_(request_of(inputs_, *reference_, *memory_)),
      combine_weights_(request_.topk_weights),
      buffer_(at_.machine.make_buffer(at_.group, config_of(at_.options, at_.plan))) {
  const Workload& workload = at_.plan.workload;
  samples_.num_workers = buffer_.config().num_workers;
  samples_.num_channels = buffer_.config().num_channels;
  samples_.heap_bytes = buffer_.config().heap_bytes;
  if (RankDevice* device = at_.machine.device()) {
    samples_.num_sms = buffer_.config().num_sms;
    samples_.device = device->index();
    const auto by_rank = at_.start_line.gather(at_.group.rank(), device->index());
    leads_device_ = std::find(by_rank.begin(), by_rank.end(), device->index()) ==
                    by_rank.begin() + at_.group.rank();
  }
  if (workload.combine_dtype() != workload.landed_dtype()) {
    expert_rows_ =
        buffer_.allocate(workload.combine_dtype(),
                         {static_cast<std::int64_t>(reference_->rows().size()), workload.hidden});
    fill_rows(expert_rows_->view());
  }
}

/// From one moment at which all ranks are here to this rank's end; all share the clock.
template <class Body>
void CaseRun::run_timed(TimedRuns& runs, const Body& body, int repeats) {
  at_.start_line.wait();
  const std::int64_t begin = at_.machine.now_ns();
  body();
  const std::int64_t end = at_.machine.now_ns();
  runs.begin_ns.push_back(begin);
  runs.end_ns.push_back(begin + (end - begin) / repeats);
}

DispatchResult CaseRun::dispatch() {
  DispatchResult landed = buffer_.dispatch(request_);
  if (at_.options.device.staged && at_.machine.device() != nullptr) {
    const ConstTensorView x = landed.x();
    if (!staged_.given()) {
      staged_ = memory_->given(x);
    }
    at_.machine.device()->copy(
        staged_.data,
        x.data,
        at_.plan.workload.landed_row_bytes() * static_cast<std::uint64_t>(landed.num_rows()));
  }
  return landed;
}

CombineRequest CaseRun::combine_request(const DispatchResult& landed) const {
  CombineRequest request;
  request.x = expert_rows_ ? expert_rows_->view() : landed.x();
  request.handle = landed.handle();
  if (at_.plan.workload.weighted_combine()) {
    request.topk_weights = combine_weights_;
  }
  return request;
}

void CaseRun::note(const VerifyReport& report, OpSamples& samples) {
  samples.rows_checked += report.rows_checked;
  if (!report.ok() && samples.first_mismatch.empty()) {
    samples.first_mismatch = report.first;
  }
}

void CaseRun::check_dispatch(const DispatchResult& landed) {
  const std::unique_ptr<TensorMemory> memory = at_.machine.make_memory();
  DispatchViews views = views_of(landed);
  if (staged_.given()) {
    views.x = staged_;
  }
  for (ConstTensorView* view : {&views.x,
                                &views.scales,
                                &views.topk_idx,
                                &views.topk_weights,
                                &views.source_rank,
                                &views.source_token}) {
    *view = memory->seen(*view);
  }
  note(verifier_.check_complete_dispatch(views), samples_.dispatch);
}

void CaseRun::check_combine(const CombineResult& summed) {
  const std::unique_ptr<TensorMemory> memory = at_.machine.make_memory();
  note(verifier_.check_combine(memory->seen(summed.out())), samples_.combine);
}

void CaseRun::fill_rows(const TensorView& rows) {
  at_.machine.make_memory()->edit(
      rows, [this](const TensorView& view) { fill_expert_rows(*reference_, view); });
}

void CaseRun::poison_rows(const TensorView& rows) {
  if (rows.given()) {
    at_.machine.make_memory()->edit(rows, poison);
  }
}

void CaseRun::record_graphs() {
  RankDevice& device = *at_.machine.device();
  graphs_.emplace();
  graphs_->dispatch = device.record([this](void* stream) {
    DispatchRequest request = request_;
    request.stream = stream;
    graphs_->landed = buffer_.enqueue(request);
  });
  graphs_->combine = device.record([this](void* stream) {
    CombineRequest request = combine_request(graphs_->landed);
    request.stream = stream;
    graphs_->summed = buffer_.enqueue(request);
  });
}

void CaseRun::run_graphs(const Step& step) {
  const int launches = at_.options.device.graph_launches;
  run_timed(
      samples_.dispatch.own, [&] { graphs_->dispatch->run(launches); }, launches);
  if (step.check) {
    check_dispatch(graphs_->landed);
    if (!expert_rows_) {
      fill_rows(graphs_->landed.x());
    }
  }
  run_timed(
      samples_.combine.own, [&] { graphs_->combine->run(launches); }, launches);
  buffer_.check_enqueued();
  finish_step(step, graphs_->landed, graphs_->summed);
}

void CaseRun::run_operations(const Step& step) {
  if (graphs_) {
    run_graphs(step);
    return;
  }
  DispatchResult landed;
  run_timed(samples_.dispatch.own, [&] { landed = dispatch(); });
  if (step.weigh) {
    samples_.dispatch.peak_bytes = peak_memory_.now(buffer_);
  }
  if (step.check) {
    check_dispatch(landed);
    if (!expert_rows_) {
      fill_rows(landed.x());
    }
  }
  CombineResult summed;
  const CombineRequest combine = combine_request(landed);
  run_timed(samples_.combine.own, [&] { summed = buffer_.combine(combine); });
  finish_step(step, landed, summed);
}

void CaseRun::finish_step(const Step& step,
                          const DispatchResult& landed,
                          const CombineResult& summed) {
  if (step.weigh) {
    samples_.combine.peak_bytes = peak_memory_.now(buffer_);
  }
  if (step.check) {
    check_combine(summed);
  }
  run_roofs(step.roofs, landed, summed);
  if (step.poison) {
    at_.start_line.wait();  // the other ranks read this rank's rows until their combine is done
    poison_rows(landed.x());
    poison_rows(staged_);
    poison_rows(summed.out());
  }
}

void CaseRun::run_roofs(Roofs which, const DispatchResult& landed, const CombineResult& summed) {
  if (which == Roofs::kNone) {
    return;
  }
  if (RankDevice* device = at_.machine.device()) {
    at_.start_line.wait();  // no operation runs beside it
    if (leads_device_) {
      samples_.copy_gbps.push_back(device->measure_copy_gbps());
    }
    return;
  }
  roofs_->aim(landed.x(), combine_request(landed).x, summed.out());
  run_host_roofs(which);
}

void CaseRun::run_host_roofs(Roofs which) {
  if (which == Roofs::kBoth) {
    run_timed(samples_.dispatch.roof_memcpy, [&] { roofs_->run_dispatch(RoofCopy::kMemcpy); });
    run_timed(samples_.combine.roof_memcpy, [&] { roofs_->run_combine(RoofCopy::kMemcpy); });
    // What follows begins among rows that streaming stores wrote, as everywhere else.
    at_.start_line.wait();
    roofs_->run_combine(RoofCopy::kStreaming);
  }
  run_timed(samples_.dispatch.roof_streaming, [&] { roofs_->run_dispatch(RoofCopy::kStreaming); });
  run_timed(samples_.combine.roof_streaming, [&] { roofs_->run_combine(RoofCopy::kStreaming); });
}

double CaseRun::warm_up(int num_iterations) {
  if (at_.options.device.graph && at_.machine.device() != nullptr) {
    record_graphs();
  }
  for (int i = 0; i < num_iterations; ++i) {
    run_operations({.weigh = true});
  }
  // Only now: what the roofs and the checks need shall not count as the operations' memory.
  if (at_.machine.device() == nullptr) {
    roofs_.emplace(at_.start_line, buffer_, reference_, inputs_, buffer_.config().num_workers);
  }
  run_operations({.roofs = Roofs::kStreaming});
  const std::int64_t begin = at_.machine.now_ns();
  run_operations({.roofs = Roofs::kStreaming});
  const std::int64_t taken_ns = at_.machine.now_ns() - begin;
  run_operations({.poison = true});
  for (OpSamples* samples : {&samples_.dispatch, &samples_.combine}) {
    samples->own = {};
    samples->roof_streaming = {};
    samples->roof_memcpy = {};
  }
  samples_.copy_gbps.clear();
  return static_cast<double>(taken_ns) / 1e3;
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

void CaseRun::measure_companion() {
  const CompanionKind kind = at_.options.device.companion;
  RankDevice* device = at_.machine.device();
  if (kind == CompanionKind::kNone || device == nullptr) {
    return;
  }
  const bool leads = at_.group.rank() == 0;
  const auto here = at_.start_line.gather(at_.group.rank(), device->index());
  const auto sharing = std::count(here.begin(), here.end(), here.front());
  std::unique_ptr<Companion> companion;
  if (leads) {
    companion = device->make_companion(kind, static_cast<int>(sharing) * samples_.num_sms);
    for (int i = 0; i < kCompanionRuns + 1; ++i) {  // the first warms up
      companion->start();
      const double taken_us = companion->take_us();
      if (i != 0) {
        samples_.companion_alone_us.push_back(taken_us);
      }
    }
  }
  // The operations that are reported are those beside which it ran.
  samples_.dispatch.own = {};
  samples_.combine.own = {};
  for (int i = 0; i < kCompanionRuns; ++i) {
    if (leads) {
      companion->start();
    }
    const auto runs = [&] { return leads && !companion->done() ? 1 : 0; };
    do {
      run_operations({});
    } while (at_.start_line.gather(at_.group.rank(), runs()).front() != 0);
    if (leads) {
      samples_.companion_beside_us.push_back(companion->take_us());
    }
  }
}

}  // namespace switchyard::bench
