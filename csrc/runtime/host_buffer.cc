#include "csrc/runtime/host_buffer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "csrc/protocol/padded_permits.h"
#include "csrc/runtime/outcome.h"
#include "csrc/runtime/results.h"
#include "csrc/runtime/trace.h"
#include "csrc/targets/host/row_ops.h"
#include "switchyard/error.h"

namespace switchyard::runtime {

HostBuffer::HostBuffer(Group& group, const Config& config) : BufferState(group, config) {
  Bootstrap& rendezvous = group.bootstrap();
  adopt_heap(rendezvous,
             memory::SymmetricHeap::create(
                 rendezvous, {config_.heap_bytes, config_.heap_kind, config_.use_huge_pages}));
  workers_ = std::make_unique<host::Workers>(host::WorkerOptions{
      .peers = peers_,
      .control = control_,
      .arena = arena_.get(),
      .is_dead = [watch = watch_.get()](int rank) { return watch->is_dead(rank); },
      .num_workers = config_.num_workers,
      .spin_polls = config_.spin_polls,
      .trace_events = config_.trace_events,
      .timeout = config_.timeout});
  rendezvous.barrier();
}

std::shared_ptr<Operation> HostBuffer::start(const DispatchRequest& request, bool background) {
  check_can_issue();
  const auto previous = request.handle.valid() ? check_handle(request.handle) : nullptr;
  const std::lock_guard lock(padded_mutex_);
  auto operation = make_dispatch(context(), request, previous);
  if (operation->handle->layout == Layout::kPadded) {
    prepare_padded(*operation);
  }
  submit(*operation, background);
  return operation;
}

std::shared_ptr<Operation> HostBuffer::start(const CombineRequest& request, bool background) {
  check_can_issue();
  const std::lock_guard lock(padded_mutex_);
  auto operation = make_combine(context(), request, check_handle(request.handle));
  submit(*operation, background);
  return operation;
}

bool HostBuffer::is_done(const Operation& operation) const {
  return operation.job->done();
}

Trace HostBuffer::take_trace() {
  return make_trace(peers_.rank, epoch_, workers_->take_traces());
}

std::optional<targets::Fault> HostBuffer::fault() const {
  return workers_->faults().read();
}

/// Hands the region that peers already have leave to fill to the operation, if it fits; else keeps
/// it from everybody until no peer can be writing there.
void HostBuffer::prepare_padded(DispatchOperation& operation) {
  protocol::PaddedArgs& padded = operation.args.padded;
  if (offered_region_ != protocol::kNoRegion) {
    if (offered_signature_ == padded.signature) {
      padded.offered_region = offered_region_;
    } else {
      quarantine(offered_region_, epoch_ + 1);
    }
    offered_region_ = protocol::kNoRegion;
  }
  padded_result_ = {};  // whatever is released from here on comes too late to be offered
  last_padded_epoch_ = epoch_ + 1;
}

void HostBuffer::submit(Operation& operation, bool background) {
  count(operation);
  operation.descriptor.publish(operation.args_op());
  workers_->submit(operation.job, background);
}

void HostBuffer::wait(Operation& operation) {
  if (operation.finished) {
    throw InvalidState("finish: got a second call, wanted one per operation");
  }
  workers_->help(*operation.job);
  retire(operation);
}

/// Throws the group's fault or the operation's failure, if there is one.
void HostBuffer::throw_if_unsuccessful(Operation& operation) {
  if (const auto exception = operation.job->exception()) {
    std::rethrow_exception(exception);
  }
  if (operation.job->faulted()) {
    throw_fault(fault().value_or(targets::Fault{}), peers_.rank, config_.timeout);
  }
  const std::lock_guard lock(padded_mutex_);
  if (operation.flags.failed != 0) {
    forget_padded();
    if (is_corrupt(operation)) {
      // Only this rank knows, and peers may still write where it told them: the group ends here.
      workers_->faults().raise(corruption_fault(operation, peers_.rank));
    }
    throw_failure(operation,
                  Descriptor::read(operation.args_op(), std::max(operation.failure.rank, 0)),
                  config_);
  }
  release_quarantined(operation.epoch);
}

DispatchResult HostBuffer::finish_dispatch(const std::shared_ptr<Operation>& operation) {
  auto& dispatch = static_cast<DispatchOperation&>(*operation);
  wait(dispatch);
  try {
    throw_if_unsuccessful(dispatch);
  } catch (...) {
    if (dispatch.handle->layout == Layout::kPadded) {
      // Peers that have not noticed yet may still be writing.
      const std::lock_guard lock(padded_mutex_);
      quarantine(dispatch.region, epoch_);
    } else if (!is_corrupt(dispatch)) {
      release_if_any(dispatch.region);  // else they may, too, and the group ends
    }
    throw;
  }
  if (dispatch.handle->layout == Layout::kPadded) {
    const std::lock_guard lock(padded_mutex_);
    if (last_padded_epoch_ == dispatch.epoch) {
      padded_result_ = {dispatch.epoch, dispatch.region, dispatch.args};
    }
  }
  return make_result(dispatch.handle, std::make_unique<LandedRows>(shared_from_this(), dispatch));
}

CombineResult HostBuffer::finish_combine(const std::shared_ptr<Operation>& operation) {
  auto& combine = static_cast<CombineOperation&>(*operation);
  wait(combine);
  if (!is_corrupt(combine)) {  // else peers may still read there, and the group ends
    release_if_any(std::exchange(combine.copy_in_region, protocol::kNoRegion));
  }
  try {
    throw_if_unsuccessful(combine);
  } catch (...) {
    release_if_any(combine.out_region);
    throw;
  }
  return make_result(std::make_unique<CombinedRows>(shared_from_this(), combine));
}

/// Nobody reads the rows of a released result: if they are the last padded dispatch's, their places
/// are offered to the next one, whose senders then wait for nothing.
void HostBuffer::release_region(std::uint64_t offset) {
  const std::lock_guard lock(padded_mutex_);
  if (can_offer(offset)) {
    offer_padded();
  } else {
    arena_->release(offset);
  }
}

/// The permit's slot must still be that dispatch's, and no later padded dispatch may have been
/// issued, which would look for permits of its own.
bool HostBuffer::can_offer(std::uint64_t region) const {
  return padded_result_.epoch != 0 && padded_result_.region == region &&
         last_padded_epoch_ == padded_result_.epoch &&
         epoch_ < padded_result_.epoch + control_.num_slots && !fault();
}

void HostBuffer::offer_padded() {
  offered_region_ = padded_result_.region;
  offered_signature_ = padded_result_.args.padded.signature;
  host::HostWarp warp = workers_->make_warp();
  protocol::post_permits(warp, padded_result_.args, offered_region_, protocol::kNextSignatureWord);
  warp.end_round();
  padded_result_ = {};
}

/// After a failed operation ranks may differ in what they hold for the last padded dispatch: start
/// the chain of offers anew.
void HostBuffer::forget_padded() {
  last_padded_epoch_ = 0;
  padded_result_ = {};
  quarantine(std::exchange(offered_region_, protocol::kNoRegion), epoch_);
}

std::string HostBuffer::describe() const {
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
