#include "csrc/runtime/buffer_state.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "csrc/protocol/padded_permits.h"
#include "csrc/runtime/config_agreement.h"
#include "csrc/runtime/outcome.h"
#include "csrc/runtime/results.h"
#include "csrc/runtime/validate.h"
#include "csrc/targets/host/row_ops.h"
#include "switchyard/error.h"

namespace switchyard::runtime {
namespace {

/// Unique in this process: a handle of another buffer is recognised by it.
std::uint64_t next_buffer_id() {
  static std::atomic<std::uint64_t> counter{0};
  return counter.fetch_add(1, std::memory_order_relaxed) + 1;
}

protocol::ControlLayout control_layout(const Config& config, int num_ranks) {
  protocol::ControlLayout control;
  control.num_ranks = static_cast<std::uint32_t>(num_ranks);
  control.num_slots = 2 * static_cast<std::uint32_t>(config.max_in_flight);
  control.num_channels = static_cast<std::uint32_t>(config.num_channels);
  control.max_experts_per_rank =
      static_cast<std::uint32_t>((config.max_experts + num_ranks - 1) / num_ranks);
  return control;
}

void check_one_node(const Topology& topology) {
  if (topology.num_nodes() != 1) {
    refuse("Group",
           fmt::format("{} nodes of {} ranks", topology.num_nodes(), topology.ranks_per_node),
           "one node: this build has no scale-out transport");
  }
}

}  // namespace

BufferState::BufferState(Group& group, const Config& config)
    : topology_(group.topology()), membership_(group.membership()), id_(next_buffer_id()) {
  if (sodium_init() < 0) {
    throw Error(ErrorCode::kInternal, "libsodium could not be initialised");
  }
  check_one_node(topology_);
  Bootstrap& rendezvous = group.bootstrap();
  config_ = agree_on_config(config, rendezvous);
  control_ = control_layout(config_, topology_.num_ranks);
  if (config_.heap_bytes <= control_.block_bytes()) {
    refuse("Config::heap_bytes",
           fmt::format("{}", config_.heap_bytes),
           fmt::format("more than the {} bytes of the control block", control_.block_bytes()));
  }
  heap_ = memory::SymmetricHeap::create(
      rendezvous, {config_.heap_bytes, config_.heap_kind, config_.use_huge_pages});
  peers_ = heap_->peers();
  watch_ = std::make_unique<memory::PeerWatch>(rendezvous);
  const std::uint64_t heap_end =
      config_.heap_bytes / memory::kRegionAlignment * memory::kRegionAlignment;
  arena_ = std::make_unique<memory::Arena>(control_.block_bytes(), heap_end);
  workers_ = std::make_unique<host::Workers>(host::WorkerOptions{
      .peers = peers_,
      .control = control_,
      .arena = arena_.get(),
      .is_dead = [watch = watch_.get()](int rank) { return watch->is_dead(rank); },
      .num_workers = config_.num_workers,
      .spin_polls = config_.spin_polls,
      .timeout = config_.timeout});
  rendezvous.barrier();
}

BufferState::~BufferState() = default;

OperationContext BufferState::context() const {
  OperationContext context;
  context.buffer_id = id_;
  context.config = &config_;
  context.membership = membership_;
  context.heap_bytes = config_.heap_bytes;
  context.previous_padded_epoch = last_padded_epoch_;
  context.op.peers = peers_;
  context.op.control = control_;
  context.epoch = epoch_ + 1;
  context.op.epoch = protocol::epoch_tag(epoch_ + 1, control_.num_slots);
  context.op.num_channels = config_.num_channels;
  return context;
}

void BufferState::check_can_issue() const {
  if (const auto fault = workers_->faults().read()) {
    throw_fault(*fault, peers_.rank, config_.timeout);
  }
  const auto limit = static_cast<std::uint64_t>(config_.max_in_flight);
  // Slots are reused after 2 * max_in_flight operations; the argument needs the oldest ones to be
  // finished, not any.
  if (!unfinished_.empty() && epoch_ + 1 - *unfinished_.begin() >= limit) {
    throw InvalidState(fmt::format(
        "operations in flight: got one more while operation {} is not finished, wanted at most "
        "Config::max_in_flight = {}; finish it first",
        *unfinished_.begin(),
        limit));
  }
}

std::shared_ptr<const HandleState> BufferState::check_handle(const DispatchHandle& handle) const {
  if (!handle.valid()) {
    throw InvalidState("handle: got an empty one, wanted the handle of a dispatch of this buffer");
  }
  if (handle.state_->buffer_id != id_) {
    throw InvalidState(
        "handle: got one of another buffer (or of this one before it was rebuilt), wanted the "
        "handle of a dispatch of this buffer");
  }
  return handle.state_;
}

PendingDispatch BufferState::issue(const DispatchRequest& request, bool background) {
  check_can_issue();
  const auto previous = request.handle.valid() ? check_handle(request.handle) : nullptr;
  auto operation = make_dispatch(context(), request, previous);
  if (operation->handle->layout == Layout::kPadded) {
    prepare_padded(*operation);
  }
  start(operation, background);
  return {shared_from_this(), std::move(operation)};
}

PendingCombine BufferState::issue(const CombineRequest& request, bool background) {
  check_can_issue();
  auto operation = make_combine(context(), request, check_handle(request.handle));
  start(operation, background);
  return {shared_from_this(), std::move(operation)};
}

/// Hands the region that peers already have leave to fill to the operation, if it fits; else keeps
/// it from everybody until no peer can be writing there.
void BufferState::prepare_padded(DispatchOperation& operation) {
  protocol::PaddedArgs& padded = operation.args.padded;
  if (offered_region_ != protocol::kNoRegion) {
    if (offered_signature_ == padded.signature) {
      padded.offered_region = offered_region_;
    } else {
      quarantine(offered_region_, epoch_ + 1);
    }
    offered_region_ = protocol::kNoRegion;
  }
  last_padded_epoch_ = epoch_ + 1;
}

void BufferState::start(const std::shared_ptr<Operation>& operation, bool background) {
  ++epoch_;
  unfinished_.insert(epoch_);
  operation->descriptor.publish(operation->args_op());
  workers_->submit(operation->job, background);
}

void BufferState::wait(Operation& operation) {
  if (operation.finished) {
    throw InvalidState("finish: got a second call, wanted one per operation");
  }
  workers_->help(*operation.job);
  operation.finished = true;
  unfinished_.erase(operation.job->epoch());
}

/// Throws the group's fault or the operation's failure, if there is one.
void BufferState::throw_if_unsuccessful(Operation& operation) {
  if (const auto exception = operation.job->exception()) {
    std::rethrow_exception(exception);
  }
  if (operation.job->faulted()) {
    const auto fault = workers_->faults().read();
    throw_fault(fault.value_or(host::Fault{}), peers_.rank, config_.timeout);
  }
  if (operation.flags.failed != 0) {
    forget_padded();
    if (is_corrupt(operation)) {
      // Only this rank knows, and peers may still write where it told them: the group ends here.
      workers_->faults().raise(corruption_fault(operation, peers_.rank));
    }
    throw_failure(operation, config_.heap_bytes);
  }
  release_quarantined(operation.job->epoch());
}

DispatchResult BufferState::finish_dispatch(const std::shared_ptr<Operation>& operation) {
  auto& dispatch = static_cast<DispatchOperation&>(*operation);
  wait(dispatch);
  try {
    throw_if_unsuccessful(dispatch);
  } catch (...) {
    if (dispatch.handle->layout == Layout::kPadded) {
      quarantine(dispatch.region, epoch_);  // peers that have not noticed yet may still be writing
    } else {
      release_if_any(dispatch.region);
    }
    throw;
  }
  if (dispatch.handle->layout == Layout::kPadded) {
    offer_next_padded(dispatch);
  }
  auto rows = std::make_unique<LandedRows>(shared_from_this(), dispatch);
  return DispatchResult(DispatchHandle(dispatch.handle), std::move(rows));
}

CombineResult BufferState::finish_combine(const std::shared_ptr<Operation>& operation) {
  auto& combine = static_cast<CombineOperation&>(*operation);
  wait(combine);
  release_if_any(std::exchange(combine.copy_in_region, protocol::kNoRegion));
  try {
    throw_if_unsuccessful(combine);
  } catch (...) {
    release_if_any(combine.out_region);
    throw;
  }
  return CombineResult(std::make_unique<CombinedRows>(shared_from_this(), combine));
}

void BufferState::abandon(const std::shared_ptr<Operation>& operation) noexcept {
  if (operation == nullptr || operation->finished) {
    return;
  }
  try {
    if (dynamic_cast<DispatchOperation*>(operation.get()) != nullptr) {
      finish_dispatch(operation);
    } else {
      finish_combine(operation);
    }
  } catch (const std::exception&) {
    // Nobody asked for the outcome; a fault of the group meets the next call.
  }
}

/// Reserves the next padded dispatch's region ahead, so that its senders wait for nothing. Only
/// while no later one is under way, and only if there is room.
void BufferState::offer_next_padded(const DispatchOperation& operation) {
  if (last_padded_epoch_ != operation.job->epoch()) {
    return;
  }
  const auto region =
      arena_->allocate(operation.args.landing_of(operation.args.padded_rows()).region_bytes());
  if (!region) {
    return;
  }
  offered_region_ = *region;
  offered_signature_ = operation.args.padded.signature;
  host::HostWarp warp = workers_->make_warp();
  protocol::post_permits(warp, operation.args, offered_region_, protocol::kNextSignatureWord);
  warp.end_round();
}

/// After a failed operation ranks may differ in what they hold for the last padded dispatch: start
/// the chain of offers anew.
void BufferState::forget_padded() {
  last_padded_epoch_ = 0;
  quarantine(std::exchange(offered_region_, protocol::kNoRegion), epoch_);
}

void BufferState::quarantine(std::uint64_t region, std::uint64_t epoch) {
  if (region != protocol::kNoRegion) {
    quarantined_.push_back({region, epoch});
  }
}

/// An operation f that finished here was issued by every rank, each of which had then finished
/// those up to f - M, M being the operations in flight. A peer may issue M - 1 more after the
/// entry's epoch before it has finished that one and learned that the region is given up.
void BufferState::release_quarantined(std::uint64_t finished_epoch) {
  const auto limit = static_cast<std::uint64_t>(config_.max_in_flight);
  std::erase_if(quarantined_, [&](const Quarantined& entry) {
    const bool safe = finished_epoch >= entry.epoch + 2 * limit - 1;
    if (safe) {
      arena_->release(entry.region);
    }
    return safe;
  });
}

void BufferState::release_if_any(std::uint64_t region) {
  if (region != protocol::kNoRegion) {
    arena_->release(region);
  }
}

HeapTensor BufferState::allocate(DType dtype, std::initializer_list<std::int64_t> shape) {
  if (shape.size() == 0 || shape.size() > kMaxTensorDims ||
      std::any_of(shape.begin(), shape.end(), [](std::int64_t extent) { return extent < 0; })) {
    refuse("allocate shape",
           fmt::format("{} dimensions", shape.size()),
           "1 to 4 extents of 0 or more");
  }
  const TensorView sized(nullptr, dtype, shape);
  const std::uint64_t bytes = static_cast<std::uint64_t>(sized.num_elems()) * dtype_bytes(dtype);
  const auto region = arena_->allocate(bytes);
  if (!region) {
    const std::uint64_t available = arena_->largest_free_bytes();
    throw HeapTooSmall(
        peers_.rank,
        bytes,
        available,
        fmt::format("allocate: needed {} bytes in one region, largest free {} bytes; release "
                    "earlier results, or raise Config::heap_bytes (now {}) on every rank",
                    bytes,
                    available,
                    config_.heap_bytes));
  }
  return HeapTensor(shared_from_this(), *region, TensorView(peers_.local(*region), dtype, shape));
}

std::vector<int> BufferState::lost_ranks() const {
  const auto fault = workers_->faults().read();
  const int named = fault && fault->cause != ErrorCode::kInternal ? fault->wait.peer : -1;
  std::vector<int> lost;
  for (int rank = 0; rank < peers_.num_ranks; ++rank) {
    if (rank == named || watch_->is_dead(rank)) {
      lost.push_back(membership_.whole() ? rank
                                         : membership_.members[static_cast<std::size_t>(rank)]);
    }
  }
  for (int rank = 0; rank < membership_.world_ranks; ++rank) {
    const auto& members = membership_.members;
    if (std::find(members.begin(), members.end(), rank) == members.end()) {
      lost.push_back(rank);
    }
  }
  std::sort(lost.begin(), lost.end());
  return lost;
}

MemoryUse BufferState::memory_use() const {
  return {
      config_.heap_bytes, control_.block_bytes(), arena_->used_bytes(), arena_->peak_used_bytes()};
}

std::string BufferState::describe() const {
  return fmt::format("rank {} of {}; heap {} MiB, {}; {} workers, {} channels; row operations {}",
                     peers_.rank,
                     peers_.num_ranks,
                     config_.heap_bytes >> 20U,
                     heap_->describe(),
                     config_.num_workers,
                     config_.num_channels,
                     host::row_ops_isa());
}

}  // namespace switchyard::runtime
