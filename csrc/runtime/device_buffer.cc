#include "csrc/runtime/device_buffer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "csrc/bootstrap/gather.h"
#include "csrc/bootstrap/together.h"
#include "csrc/protocol/check.h"
#include "csrc/runtime/outcome.h"
#include "csrc/runtime/results.h"
#include "csrc/runtime/validate.h"
#include "switchyard/error.h"

namespace switchyard::runtime {
namespace {

/// How long a reader lets whoever writes a fault record finish; a few stores.
constexpr std::chrono::milliseconds kWriterPatience{1000};

cuda::WorkspaceShape workspace_shape(const HandleState& handle, bool has_lost) {
  const routing::RouteShape& shape = handle.shape();
  return {shape.num_tokens,
          shape.topk,
          shape.num_experts,
          shape.num_ranks,
          handle.row_per_expert(),
          has_lost};
}

/// Rows that a landing may need when no rank brings more tokens than this one: what is set aside
/// where the caller names no number.
std::int64_t expected_rows(const HandleState& handle) {
  const routing::RouteShape& shape = handle.shape();
  const std::int64_t tokens = std::int64_t{shape.num_tokens} * shape.num_ranks;
  if (!handle.row_per_expert()) {
    return tokens;
  }
  const std::int64_t copies = std::min(shape.topk, shape.experts_per_rank());
  return tokens * copies + std::int64_t{shape.experts_per_rank()} * (handle.expert_alignment - 1);
}

/// Rows to set aside for a dispatch. Those along a handle are known.
std::int64_t rows_to_reserve(const DispatchOperation& operation, const DispatchRequest& request) {
  if (operation.handle->layout == Layout::kPadded) {
    return operation.args.padded_rows();
  }
  if (operation.args.problem.counted_before) {
    return operation.handle->num_rows;
  }
  return request.max_rows > 0 ? request.max_rows : expected_rows(*operation.handle);
}

}  // namespace

DeviceBuffer::DeviceBuffer(Group& group, const Config& config, const MakeDevice& make_device)
    : BufferState(group, config) {
  Bootstrap& rendezvous = group.bootstrap();
  bootstrap::run_together(rendezvous, [&] { device_ = make_device(); });
  check_residency(rendezvous);
  adopt_heap(rendezvous,
             device_->create_heap(rendezvous,
                                  {config_.heap_bytes, config_.heap_kind, config_.use_huge_pages}));
  slots_.resize(static_cast<std::size_t>(config_.max_in_flight));
  sequence_ = std::make_unique<targets::DeviceBlock>(device_, sizeof(cuda::Sequence));
  const cuda::Sequence first{};
  device_->write(sequence_->data(), &first, sizeof(first));
  outcomes_ = device_->allocate_host(slots_.size() * sizeof(cuda::Outcome));
  enqueued_.use(device_);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].outcome = reinterpret_cast<cuda::Outcome*>(outcomes_) + i;
  }
  rendezvous.barrier();
}

DeviceBuffer::~DeviceBuffer() {
  try {
    for (const Slot& slot : slots_) {
      if (slot.done != nullptr) {
        device_->wait(slot.done);
      }
    }
    enqueued_.wait();
  } catch (const std::exception&) {
    // The device does not work any more, so nothing runs on it.
  }
  device_->release_host(outcomes_);
}

/// Ranks that share a device wait for each other inside kernels: all must fit at once.
void DeviceBuffer::check_residency(Bootstrap& rendezvous) const {
  const auto devices = bootstrap::gather_values(rendezvous, device_->identity());
  const auto sharing = std::count(devices.begin(), devices.end(), device_->identity());
  const int wanted = static_cast<int>(sharing) * config_.num_sms;
  const auto resident = bootstrap::gather_values(rendezvous, device_->resident_sms());
  const auto overflows = bootstrap::gather_values(
      rendezvous, wanted > device_->resident_sms() ? rendezvous.rank() : -1);
  const int rank = *std::max_element(overflows.begin(), overflows.end());
  if (rank >= 0) {
    const auto index = static_cast<std::size_t>(rank);
    const auto beside = std::count(devices.begin(), devices.end(), devices[index]);
    refuse("Config::num_sms",
           fmt::format("{} SMs for each of {} ranks on the GPU of rank {}, {} in all",
                       config_.num_sms,
                       beside,
                       rank,
                       beside * config_.num_sms),
           fmt::format("at most the {} that can run at once; take fewer SMs, or fewer ranks a GPU",
                       resident[index]));
  }
}

OperationContext DeviceBuffer::device_context() const {
  OperationContext context = BufferState::context();
  context.on_device = true;
  context.op.flags = &sequence()->flags;
  context.op.failure = &sequence()->failure;
  return context;
}

cuda::Sequence* DeviceBuffer::sequence() const {
  return reinterpret_cast<cuda::Sequence*>(sequence_->data());
}

DeviceBuffer::Slot& DeviceBuffer::slot_of(const Operation& operation) {
  return slots_[operation.epoch % slots_.size()];
}
const DeviceBuffer::Slot& DeviceBuffer::slot_of(const Operation& operation) const {
  return slots_[operation.epoch % slots_.size()];
}

/// A region of the heap, or none: then the role refuses, and every rank learns of it.
cuda::ReservedRegion DeviceBuffer::reserve(std::uint64_t bytes) {
  const auto region = arena_->allocate(bytes);
  return region ? cuda::ReservedRegion{*region, bytes}
                : cuda::ReservedRegion{protocol::kNoRegion, arena_->largest_free_bytes()};
}

/// The same, or the largest that there is: less may do.
cuda::ReservedRegion DeviceBuffer::reserve_up_to(std::uint64_t bytes) {
  return reserve(std::min(bytes, arena_->largest_free_bytes()));
}

cuda::OperationLaunch DeviceBuffer::describe_launch(Operation& operation,
                                                    const DeviceTables& tables,
                                                    bool on_stream) {
  operation.outcome = on_stream ? enqueued_.take_outcome() : slot_of(operation).outcome;
  cuda::OperationLaunch launch;
  launch.sequence = sequence();
  launch.outcome = operation.outcome;
  launch.keeps_first = on_stream;
  launch.guard = tables.workspace().guard;
  launch.timeout_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(config_.timeout).count());
  launch.descriptor = operation.descriptor.plain();
  return launch;
}

/// routing::ExpertMap in the device's memory; null when all ranks are members.
const std::int32_t* DeviceBuffer::device_expert_map(int num_experts) {
  if (membership_.whole()) {
    return nullptr;
  }
  auto& block = expert_maps_[num_experts];
  if (block == nullptr) {
    const routing::ExpertMap map = expert_map(context(), num_experts);
    const std::uint64_t bytes = map.size() * sizeof(map[0]);
    block = std::make_unique<targets::DeviceBlock>(device_, bytes);
    device_->write(block->data(), map.data(), bytes);
  }
  return reinterpret_cast<const std::int32_t*>(block->data());
}

cuda::RouteArgs DeviceBuffer::route_args(const DispatchRequest& request,
                                         const DeviceTables& tables) {
  cuda::RouteArgs args;
  args.shape = tables.shape();
  args.workspace = tables.workspace();
  args.topk_idx = request.topk_idx.data;
  args.wide_index = request.topk_idx.dtype == DType::kInt64;
  args.token_stride = request.topk_idx.strides[0];
  args.position_stride = request.topk_idx.strides[1];
  if (request.topk_weights.given()) {
    args.topk_weights = static_cast<const float*>(request.topk_weights.data);
    args.weight_token_stride = request.topk_weights.strides[0];
  }
  args.expert_map = device_expert_map(request.num_experts);
  args.map_size = request.num_experts;
  args.this_rank = peers_.rank;
  args.max_tokens = request.max_tokens;
  args.sequence = sequence();
  return args;
}

/// The CPU could not wait for what has not been launched.
void DeviceBuffer::refuse_recording(void* stream) {
  if (device_->is_recording(nullptr) || (stream != nullptr && device_->is_recording(stream))) {
    throw InvalidState(
        "issue: got a stream that is captured into a graph, wanted enqueue(), which waits for "
        "nothing on the CPU");
  }
}

std::shared_ptr<Operation> DeviceBuffer::start(const DispatchRequest& request, bool) {
  refuse_recording(request.stream);
  check_enqueued();
  auto operation = launch(request, false);
  slot_of(*operation).done = device_->mark();
  return operation;
}

std::shared_ptr<DispatchOperation> DeviceBuffer::launch(const DispatchRequest& request,
                                                        bool on_stream) {
  check_can_issue();
  const auto previous = request.handle.valid() ? check_handle(request.handle) : nullptr;
  auto operation = make_dispatch(device_context(), request, previous);
  HandleState& handle = *operation->handle;
  if (previous == nullptr) {
    handle.device = std::make_shared<const DeviceTables>(
        device_, workspace_shape(handle, !membership_.whole()));
  }
  fill_tables(*operation);
  const bool routes = previous == nullptr;
  const std::int64_t rows = rows_to_reserve(*operation, request);
  if (on_stream && routes) {
    operation->args.landing.fixed_rows = handle.layout == Layout::kPadded ? 0 : rows;
    handle.num_rows = rows;
  }
  cuda::DispatchLaunch launch{operation->args,
                              describe_launch(*operation, *handle.device, on_stream)};
  launch.launch.makes_tables = routes;
  device_->wait_for(request.stream);
  if (request.wait_event != nullptr) {
    device_->wait_for_event(request.wait_event);
  }
  if (routes) {
    device_->launch(route_args(request, *handle.device));
  }
  launch.launch.regions[0] = reserve_up_to(operation->args.landing_of(rows).region_bytes());
  launch.launch.num_regions = 1;
  operation->region = launch.launch.regions[0].offset;
  device_->launch(launch);
  count(*operation);
  if (request.done_event != nullptr) {
    device_->set_event(request.done_event);
  }
  return operation;
}

void DeviceBuffer::fill_tables(DispatchOperation& operation) const {
  const cuda::Workspace& at = operation.handle->device->workspace();
  operation.args.routing = {at.expert,
                            at.rank,
                            at.opener,
                            at.ordinal,
                            operation.handle->source->weighted ? at.weight : nullptr,
                            at.rows_per_rank,
                            at.tokens_per_expert,
                            /*has_duplicates=*/true};  // unknown here; costs a look at weights
  operation.args.placement = {at.region_of_rank, at.rows_of_rank, at.base};
  operation.args.landing = {
      at.rows_from, at.counts_from, at.base_from, at.expert_offsets, at.num_rows, at.region};
}

std::shared_ptr<Operation> DeviceBuffer::start(const CombineRequest& request, bool) {
  refuse_recording(request.stream);
  check_enqueued();
  auto operation = launch(request, false);
  slot_of(*operation).done = device_->mark();
  return operation;
}

std::shared_ptr<CombineOperation> DeviceBuffer::launch(const CombineRequest& request,
                                                       bool on_stream) {
  check_can_issue();
  auto operation = make_combine(device_context(), request, check_handle(request.handle));
  fill_tables(*operation, request);
  device_->wait_for(request.stream);
  if (request.wait_event != nullptr) {
    device_->wait_for_event(request.wait_event);
  }
  fill_topk_weights(*operation, request);
  cuda::CombineLaunch launch{operation->args,
                             describe_launch(*operation, *operation->handle->device, on_stream)};
  // In the order in which the role asks.
  const auto take_region = [&](std::uint64_t bytes, std::uint64_t& region) {
    if (bytes != 0) {
      launch.launch.regions[launch.launch.num_regions] = reserve(bytes);
      region = launch.launch.regions[launch.launch.num_regions++].offset;
    }
  };
  take_region(launch.args.output.region_bytes, operation->out_region);
  take_region(launch.args.experts.copy_in.region_bytes(), operation->copy_in_region);
  device_->launch(launch);
  count(*operation);
  if (request.done_event != nullptr) {
    device_->set_event(request.done_event);
  }
  return operation;
}

void DeviceBuffer::fill_tables(CombineOperation& operation, const CombineRequest& request) const {
  const DeviceTables& tables = *operation.handle->device;
  const cuda::Workspace& at = tables.workspace();
  protocol::CombineArgs& args = operation.args;
  args.experts.rows_from = at.rows_from;
  args.experts.runs = {tables.shape().row_per_expert ? at.counts_from : at.rows_from,
                       at.base_from,
                       tables.shape().bases_per_rank()};
  args.experts.copy_in_region = at.copy_in_region;
  args.contributions = {
      at.rows_at, at.row_weights_at, at.row_topk_weights_at, at.rows_of_rank, at.base};
  args.routing = {at.expert,
                  at.rank,
                  at.opener,
                  at.ordinal,
                  at.terms,
                  at.num_terms,
                  request.topk_weights.given() ? at.combine_weights : nullptr,
                  /*has_duplicates=*/true};
  args.output.region = at.out_region;
}

/// The caller's, without gaps, and room for the sums.
void DeviceBuffer::fill_topk_weights(CombineOperation& operation, const CombineRequest& request) {
  const DeviceTables& tables = *operation.handle->device;
  if (request.topk_weights.given()) {
    const ConstTensorView& weights = request.topk_weights;
    device_->pack_rows({static_cast<const std::byte*>(weights.data),
                        static_cast<std::uint64_t>(weights.strides[0]) * sizeof(float),
                        static_cast<std::uint64_t>(weights.shape[1]) * sizeof(float),
                        static_cast<std::uint64_t>(weights.shape[0])},
                       reinterpret_cast<std::byte*>(tables.workspace().combine_weights));
  }
  if (operation.args.problem.sums_topk_weights) {
    operation.device_topk_weights = std::make_shared<targets::DeviceBlock>(
        device_, static_cast<std::uint64_t>(tables.shape().num_entries()) * sizeof(float));
    operation.args.output.topk_weights = operation.device_topk_weights->data();
  }
}

bool DeviceBuffer::is_done(const Operation& operation) const {
  return device_->reached(slot_of(operation).done);
}

void DeviceBuffer::wait(Operation& operation) {
  if (operation.finished) {
    throw InvalidState("finish: got a second call, wanted one per operation");
  }
  device_->wait(slot_of(operation).done);
  retire(operation);
}

/// Throws the group's fault, the caller's mistake or the operation's failure, if there is one.
void DeviceBuffer::throw_if_unsuccessful(Operation& operation) {
  const cuda::Outcome& outcome = *operation.outcome;
  operation.flags.failed = outcome.failed;
  operation.flags.corrupt = outcome.corrupt;
  operation.failure = outcome.failure;
  if (outcome.faulted != 0) {
    fault_ = read_fault();
    if (!is_corrupt(operation)) {
      throw_fault(*fault_, peers_.rank, config_.timeout);
    }
  }
  if (outcome.failed != 0) {
    throw_failure(operation, read_descriptor(operation, outcome.epoch), config_);
  }
  if (outcome.skipped != 0) {
    throw InvalidState(fmt::format(
        "{}: got the handle of a dispatch that failed, wanted one that went through: nothing was "
        "done, on any rank",
        operation.name()));
  }
  release_quarantined(operation.epoch);
  if (outcome.bad_entry.token >= 0) {
    const int num_experts = static_cast<DispatchOperation&>(operation).handle->named_experts;
    refuse(fmt::format("topk_idx[{}][{}]", outcome.bad_entry.token, outcome.bad_entry.position),
           fmt::format("{}", outcome.bad_entry.expert),
           fmt::format("an expert in [0, {}) or -1 for none", num_experts));
  }
}

/// What the rank issued that disagreed, if it has not gone on since.
std::optional<Descriptor> DeviceBuffer::read_descriptor(const Operation& operation,
                                                        std::uint64_t epoch) {
  if (operation.failure.kind != protocol::FailureKind::kMismatch) {
    return std::nullopt;
  }
  const std::uint32_t tag = protocol::epoch_tag(epoch, control_.num_slots);
  protocol::OperationDescriptor theirs{};
  device_->read(&theirs,
                peers_.at(operation.failure.rank, control_.descriptor(tag % control_.num_slots)),
                sizeof(theirs));
  return Descriptor::from(theirs, tag);
}

/// A kernel cannot tell a dead peer from a slow one.
targets::Fault DeviceBuffer::read_fault() {
  protocol::ErrorRecord record{};
  const auto limit = std::chrono::steady_clock::now() + kWriterPatience;
  do {
    device_->read(&record, peers_.local(control_.error_record()), sizeof(record));
  } while (record.state != targets::kFaultReadable && std::chrono::steady_clock::now() < limit);
  targets::Fault fault = targets::read_record(record);
  if (fault.cause == ErrorCode::kTimeout && watch_->is_dead(fault.wait.peer)) {
    fault.cause = ErrorCode::kPeerLost;
  }
  return fault;
}

DispatchResult DeviceBuffer::finish_dispatch(const std::shared_ptr<Operation>& operation) {
  auto& dispatch = static_cast<DispatchOperation&>(*operation);
  wait(dispatch);
  const bool padded = dispatch.handle->layout == Layout::kPadded;
  try {
    throw_if_unsuccessful(dispatch);
  } catch (...) {
    if (padded && dispatch.flags.failed != 0) {
      quarantine(dispatch.region, epoch_);  // peers that have not noticed yet may still be writing
    } else if (!is_corrupt(dispatch)) {
      release_if_any(dispatch.region);  // else they may, too, and the group ends
    }
    throw;
  }
  HandleState& handle = *dispatch.handle;
  handle.num_rows = dispatch.outcome->num_rows;
  arena_->trim(dispatch.region, dispatch.args.landing_of(handle.num_rows).region_bytes());
  return make_result(dispatch.handle, std::make_unique<LandedRows>(shared_from_this(), dispatch));
}

CombineResult DeviceBuffer::finish_combine(const std::shared_ptr<Operation>& operation) {
  auto& combine = static_cast<CombineOperation&>(*operation);
  wait(combine);
  try {
    throw_if_unsuccessful(combine);
  } catch (...) {
    if (!is_corrupt(combine)) {  // else peers may still read there, and the group ends
      release_if_any(std::exchange(combine.copy_in_region, protocol::kNoRegion));
    }
    release_if_any(combine.out_region);
    throw;
  }
  release_if_any(std::exchange(combine.copy_in_region, protocol::kNoRegion));
  return make_result(std::make_unique<CombinedRows>(shared_from_this(), combine));
}

std::string DeviceBuffer::describe() const {
  return fmt::format("rank {} of {}; heap {} MiB, {}; {} SMs of {}, {} channels",
                     peers_.rank,
                     peers_.num_ranks,
                     config_.heap_bytes >> 20U,
                     heap_->describe(),
                     config_.num_sms,
                     device_->describe(),
                     config_.num_channels);
}

Buffer make_device_buffer(Group& group, const Config& config, const MakeDevice& make_device) {
  return BufferState::make_buffer(std::make_shared<DeviceBuffer>(group, config, make_device));
}

}  // namespace switchyard::runtime
