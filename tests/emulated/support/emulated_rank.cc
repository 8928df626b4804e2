#include "tests/emulated/support/emulated_rank.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "benchmarks/sim/exchange_check.h"

namespace switchyard::sim {
namespace {

void require(bool holds, const std::string& what) {
  if (!holds) {
    throw ModelViolation(what);
  }
}

cuda::WorkspaceShape shape_of(const DispatchPlan& plan, int rank) {
  return {plan.sources[static_cast<std::size_t>(rank)].num_tokens,
          plan.topk,
          plan.num_experts,
          static_cast<std::int32_t>(plan.sources.size()),
          plan.layout != Layout::kRankMajor};
}

template <class T, class U>
void take(std::vector<T>& to, const U* from) {
  std::copy_n(from, to.size(), to.begin());
}

}  // namespace

EmulatedRank::EmulatedRank(const EmulatedRun& run, int rank)
    : run_(run), rank_(rank), dispatched_(run.plan.dispatches.size()) {
  sequence_.epoch = run.world.options().first_epoch - 1;
  for (const CombinePlan& combine : run.plan.combines) {
    ++dispatched(combine.dispatch).combines_left;
  }
}

void EmulatedRank::run() {
  try {
    for (const PlannedOperation& operation : run_.plan.operations) {
      if (run_.interference.stays_away(rank_, operation)) {
        return;
      }
      operation.is_dispatch ? dispatch(operation.index) : combine(operation.index);
    }
  } catch (const protocol::ErrorRecord& fault) {
    fault_ = fault;
  }
}

/// What needs a dispatch that failed is left out, on every rank.
void EmulatedRank::dispatch(int index) {
  const DispatchPlan& plan = run_.plan.dispatches[static_cast<std::size_t>(index)];
  Dispatched& made = dispatched(index);
  std::shared_ptr<const runtime::HandleState> previous;
  const cuda::WorkspaceShape shape = shape_of(plan, rank_);
  if (plan.follows >= 0) {
    const Dispatched& followed = dispatched(plan.follows);
    made.failed = followed.failed;
    if (made.failed) {
      return;
    }
    previous = followed.operation->handle;
    made.memory = followed.memory;
  } else {
    made.memory = std::make_shared<emulated::DeviceWorkspace>(shape);
  }
  made.index = index;
  made.call = make_dispatch_call(plan, run_.naive, index, rank_);
  made.operation = own().prepare(made.call.request, previous);
  if (plan.follows < 0) {
    route(made, shape);
  }
  cuda::DispatchLaunch launch = dispatch_launch(index);
  run_.interference.before_dispatch(rank_, index, launch);
  emulated::launch(run_.machine,
                   launch,
                   run_.options.kernels,
                   fmt::format("rank {} operation {} (dispatch)", rank_, made.operation->epoch));
  take_outcome(*made.operation, run_.interference.bad_entry(rank_, index));
  made.operation->region = *made.memory->places().region;
  release_unused(launch.launch, {made.operation->region});
  made.failed = made.operation->flags.failed != 0;
  if (!made.failed) {
    take_landing(made);
  }
  own().finish(*made.operation);
  run_.world.memory().publish_all();
  judge(index, !made.failed);
  if (!made.failed) {
    check_dispatch(run_.world,
                   plan,
                   run_.naive,
                   index,
                   *made.operation,
                   {made.call.rows.get(), made.call.scales.get()});
    release_if_done(made);
  }
}

/// Whether the dispatch ended as it had to.
void EmulatedRank::judge(int index, bool success) {
  const runtime::DispatchOperation& operation = *dispatched(index).operation;
  const auto wanted = run_.interference.failure(rank_, index);
  if (!wanted) {
    run_.outcomes.note_dispatch(static_cast<std::size_t>(index), operation, success);
    return;
  }
  require(
      !success && operation.failure.kind == wanted->kind && operation.failure.rank == wanted->rank,
      fmt::format("rank {}, dispatch {}: {}", rank_, index, World::describe_failure(operation)));
}

void EmulatedRank::route(const Dispatched& dispatched, const cuda::WorkspaceShape& shape) {
  const DispatchRequest& request = dispatched.call.request;
  cuda::RouteArgs args;
  args.shape = shape;
  args.workspace = dispatched.memory->places();
  args.topk_idx = request.topk_idx.data;
  args.wide_index = request.topk_idx.dtype == DType::kInt64;
  args.token_stride = shape.topk;
  args.position_stride = 1;
  if (request.topk_weights.given()) {
    args.topk_weights = static_cast<const float*>(request.topk_weights.data);
    args.weight_token_stride = shape.topk;
  }
  args.this_rank = rank_;
  args.max_tokens = request.max_tokens;
  args.sequence = &sequence_;
  run_.interference.before_route(rank_, dispatched.index, args);
  emulated::launch(run_.machine, args, fmt::format("rank {} route", rank_));
}

cuda::OperationLaunch EmulatedRank::common(runtime::Operation& operation) {
  cuda::OperationLaunch launch;
  launch.sequence = &sequence_;
  launch.outcome = &outcome_;
  launch.timeout_ns = run_.options.timeout_ns;
  // The kernel leaves for peers what prepare() left: take it from there, and it away.
  const protocol::OperationArgs& op = operation.args_op();
  auto* published = reinterpret_cast<protocol::OperationDescriptor*>(
      op.peers.local(op.control.descriptor(op.slot())));
  launch.descriptor = *published;
  published->epoch = 0;
  launch.descriptor.epoch = 0;
  return launch;
}

void EmulatedRank::reserve(cuda::OperationLaunch& launch, std::uint64_t bytes) {
  if (bytes != 0) {
    launch.regions[launch.num_regions++] = {own().allocate(bytes), bytes};
  }
}

void EmulatedRank::release_unused(const cuda::OperationLaunch& launch,
                                  std::vector<std::uint64_t> used) {
  for (int i = 0; i < launch.num_regions; ++i) {
    std::uint64_t region = launch.regions[i].offset;
    if (region != protocol::kNoRegion &&
        std::find(used.begin(), used.end(), region) == used.end()) {
      own().release(region);
    }
  }
}

cuda::DispatchLaunch EmulatedRank::dispatch_launch(int index) {
  const Dispatched& made = dispatched(index);
  const cuda::Workspace& memory = made.memory->places();
  cuda::DispatchLaunch launch;
  launch.args = made.operation->args;
  launch.args.op.epoch = 0;  // the kernel counts
  launch.args.op.flags = &sequence_.flags;
  launch.args.op.failure = &sequence_.failure;
  launch.args.routing = {memory.expert,
                         memory.rank,
                         memory.opener,
                         memory.ordinal,
                         launch.args.routing.weight == nullptr ? nullptr : memory.weight,
                         memory.rows_per_rank,
                         memory.tokens_per_expert,
                         true};
  launch.args.placement = {memory.region_of_rank, memory.rows_of_rank, memory.base};
  launch.args.landing = {memory.rows_from,
                         memory.counts_from,
                         memory.base_from,
                         memory.expert_offsets,
                         memory.num_rows,
                         memory.region};
  launch.args.staging = {};
  *memory.region = protocol::kNoRegion;
  launch.launch = common(*made.operation);
  launch.launch.guard = made.memory->places().guard;
  const DispatchPlan& plan = run_.plan.dispatches[static_cast<std::size_t>(index)];
  launch.launch.makes_tables = plan.follows < 0;
  if (launch.args.padded.offered_region == protocol::kNoRegion) {
    const std::int64_t rows = run_.naive.landing(index, rank_).num_rows;
    reserve(launch.launch, std::max<std::uint64_t>(1, launch.args.landing_of(rows).region_bytes()));
  }
  return launch;
}

/// What the host would read back when somebody asks.
void EmulatedRank::take_landing(Dispatched& dispatched) {
  const cuda::Workspace& memory = dispatched.memory->places();
  runtime::HandleState& handle = *dispatched.operation->handle;
  take(handle.rows_of_rank, memory.rows_of_rank);
  take(handle.base, memory.base);
  take(handle.rows_from, memory.rows_from);
  take(handle.counts_from, memory.counts_from);
  take(handle.base_from, memory.base_from);
  take(handle.expert_offsets, memory.expert_offsets);
  handle.num_rows = *memory.num_rows;
  require(outcome_.num_rows == handle.num_rows, "outcome: num_rows");
}

void EmulatedRank::take_outcome(runtime::Operation& operation, const cuda::BadEntry& bad_entry) {
  const protocol::OperationArgs& op = operation.args_op();
  const auto* record =
      reinterpret_cast<const protocol::ErrorRecord*>(op.peers.local(op.control.error_record()));
  if (record->state != 0) {
    throw *record;
  }
  require(outcome_.epoch == operation.epoch && sequence_.epoch == outcome_.epoch,
          fmt::format("operation {} counted as {}", operation.epoch, outcome_.epoch));
  require(sequence_.blocks_done == 0 && sequence_.flags.failed == 0 &&
              sequence_.flags.placed == 0 && sequence_.flags.counted == 0,
          "the sequence is not as the next operation must find it");
  require(outcome_.bad_entry.token == bad_entry.token &&
              (bad_entry.token < 0 || (outcome_.bad_entry.position == bad_entry.position &&
                                       outcome_.bad_entry.expert == bad_entry.expert)),
          fmt::format("bad entry {}", outcome_.bad_entry.token));
  operation.flags.failed = outcome_.failed;
  operation.flags.corrupt = outcome_.corrupt;
  operation.failure = outcome_.failure;
  const auto described = runtime::Descriptor::read(op, op.peers.rank);
  require(described && described->signature() == op.signature,
          "peers cannot read what this operation is");
}

void EmulatedRank::release_if_done(Dispatched& dispatched) {
  if (dispatched.combines_left == 0 && dispatched.operation->region != protocol::kNoRegion) {
    own().release(dispatched.operation->region);
  }
}

ConstTensorView EmulatedRank::place_expert_rows(int index, std::uint64_t& region) {
  const CombinePlan& plan = run_.plan.combines[static_cast<std::size_t>(index)];
  const runtime::DispatchOperation& landed = *dispatched(plan.dispatch).operation;
  const std::vector<std::byte>& rows = run_.naive.data(index, rank_).rows;
  const std::byte* at = rows.data();
  const ExpertRows where = plan.expert_rows[static_cast<std::size_t>(rank_)];
  if (where != ExpertRows::kPrivate) {
    if (where == ExpertRows::kInHeap) {
      region = own().allocate(rows.size());
    }
    std::byte* to = own().write(where == ExpertRows::kInHeap ? region : landed.region, rows.size());
    std::copy(rows.begin(), rows.end(), to);
    at = to;
  }
  const int hidden = run_.plan.dispatches[static_cast<std::size_t>(plan.dispatch)].hidden;
  return {at, plan.dtype, {landed.handle->num_rows, hidden}};
}

cuda::CombineLaunch EmulatedRank::combine_launch(runtime::CombineOperation& operation,
                                                 const Dispatched& rows) {
  const cuda::Workspace& memory = rows.memory->places();
  cuda::CombineLaunch launch;
  launch.args = operation.args;
  launch.args.op.epoch = 0;
  launch.args.op.flags = &sequence_.flags;
  launch.args.op.failure = &sequence_.failure;
  launch.args.experts.rows_from = memory.rows_from;
  launch.args.experts.runs.counts =
      operation.args.problem.row_per_expert ? memory.counts_from : memory.rows_from;
  launch.args.experts.runs.bases = memory.base_from;
  launch.args.experts.copy_in_region = memory.copy_in_region;
  launch.args.contributions = {memory.rows_at,
                               memory.row_weights_at,
                               memory.row_topk_weights_at,
                               memory.rows_of_rank,
                               memory.base};
  if (operation.args.routing.topk_weights != nullptr) {
    std::copy(operation.topk_weights.begin(), operation.topk_weights.end(), memory.combine_weights);
    launch.args.routing.topk_weights = memory.combine_weights;
  }
  launch.args.routing.expert = memory.expert;
  launch.args.routing.rank = memory.rank;
  launch.args.routing.opener = memory.opener;
  launch.args.routing.ordinal = memory.ordinal;
  launch.args.routing.terms = memory.terms;
  launch.args.routing.num_terms = memory.num_terms;
  launch.args.routing.has_duplicates = true;
  launch.args.output.region = memory.out_region;
  *memory.out_region = protocol::kNoRegion;
  *memory.copy_in_region = protocol::kNoRegion;
  launch.launch = common(operation);
  launch.launch.guard = rows.memory->places().guard;
  reserve(launch.launch, launch.args.output.region_bytes);  // in the order in which the role asks
  reserve(launch.launch, launch.args.experts.copy_in.region_bytes());
  return launch;
}

void EmulatedRank::combine(int index) {
  const CombinePlan& plan = run_.plan.combines[static_cast<std::size_t>(index)];
  Dispatched& rows = dispatched(plan.dispatch);
  if (rows.failed) {
    return;
  }
  std::uint64_t expert_region = protocol::kNoRegion;
  const ConstTensorView view = place_expert_rows(index, expert_region);
  const CombineCall call = make_combine_call(run_.plan, run_.naive, index, rank_, view);
  const auto operation = own().prepare(call.request, rows.operation->handle);
  const cuda::CombineLaunch launch = combine_launch(*operation, rows);
  emulated::launch(run_.machine,
                   launch,
                   run_.options.kernels,
                   fmt::format("rank {} operation {} (combine)", rank_, operation->epoch));
  take_outcome(*operation, {});
  operation->out_region = *rows.memory->places().out_region;
  operation->copy_in_region = *rows.memory->places().copy_in_region;
  require(operation->flags.failed == 0, "a combine failed: " + World::describe_failure(*operation));
  own().finish(*operation);
  run_.world.memory().publish_all();
  check_combine(run_.world, plan, run_.naive, index, *operation, {call.out.get()});
  for (std::uint64_t region : {operation->out_region, expert_region}) {
    if (region != protocol::kNoRegion) {
      own().release(region);
    }
  }
  --rows.combines_left;
  release_if_done(rows);
}

EmulatedGroup::EmulatedGroup(const ExchangePlan& plan,
                             std::uint64_t seed,
                             const WorldOptions& options)
    : EmulatedGroup(plan, seed, options, none_, LaunchOptions{}.timeout_ns) {}

EmulatedGroup::EmulatedGroup(const ExchangePlan& plan,
                             std::uint64_t seed,
                             const WorldOptions& options,
                             Interference& interference,
                             std::uint64_t timeout_ns)
    : world_(options), naive_(plan), outcomes_(plan, /*tight=*/false), machine_(seed) {
  set_hooks(interference);
  emulated::Random random(seed);
  const LaunchOptions launch{{1 + random.below(2), random.one_in(2)}, timeout_ns};
  const EmulatedRun run{plan, naive_, outcomes_, world_, machine_, launch, interference};
  for (int rank = 0; rank < plan.num_ranks; ++rank) {
    ranks_.push_back(std::make_unique<EmulatedRank>(run, rank));
  }
}

void EmulatedGroup::set_hooks(Interference& interference) {
  machine_.check_access = [this](const void* at, std::size_t bytes, const char* what) {
    world_.heaps().check_access(at, bytes, what);
  };
  machine_.is_exempt = [this](const void* word) {
    const protocol::Peers peers = world_.heaps().peers(0);
    const int rank = peers.rank_of(word);
    return rank >= 0 && word == peers.at(rank, world_.heaps().control().error_record());
  };
  machine_.carry_word = [this, &interference](const void* at, protocol::Word value) {
    const protocol::Peers peers = world_.heaps().peers(0);
    const int owner = peers.rank_of(at);
    return owner < 0
               ? value
               : interference.carry(owner,
                                    static_cast<std::uint64_t>(static_cast<const std::byte*>(at) -
                                                               peers.at(owner, 0)),
                                    value);
  };
}

void EmulatedGroup::run() {
  std::vector<std::function<void()>> bodies;
  for (const auto& rank : ranks_) {
    bodies.emplace_back([own = rank.get()] { own->run(); });
  }
  machine_.run_all(bodies);
  for (int rank = 0; rank < static_cast<int>(ranks_.size()); ++rank) {
    const bool faulty = std::any_of(
        ranks_.begin(), ranks_.end(), [](const auto& each) { return each->fault().has_value(); });
    require(faulty || world_.heaps().num_regions(rank) == world_.rank(rank).num_kept_regions(),
            fmt::format("rank {} has lost memory", rank));
  }
}

}  // namespace switchyard::sim
