// The object that moves tokens: one per rank, created together by all ranks of a group. It owns the
// rank's symmetric heap and its worker threads.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "switchyard/combine.h"
#include "switchyard/config.h"
#include "switchyard/dispatch.h"
#include "switchyard/group.h"
#include "switchyard/trace.h"

namespace switchyard {

namespace runtime {
class Operation;
}  // namespace runtime

/// An operation under way. Move-only. Destroying one that was not finished waits for it and drops
/// its result or its error.
template <class Result>
class Pending {
 public:
  Pending(Pending&&) noexcept = default;
  Pending& operator=(Pending&&) noexcept;
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending();

  /// True when finish() would not wait.
  [[nodiscard]] bool ready() const;

  /// Waits for the operation and takes its result; the calling thread helps with the work.
  /// Called by:  the thread that calls the Buffer, once
  /// Errors:     InvalidState when called twice. On every rank alike, and the group stays usable:
  ///             HeapTooSmall; ConfigMismatch; InvalidArgument when some rank's out_x or out_scales
  ///             has too few rows. The buffer must be rebuilt after PeerLost and Timeout, which
  ///             name rank, peer, role and step, and after Error{kInternal}.
  Result finish();

 private:
  friend class runtime::BufferState;
  Pending(std::shared_ptr<runtime::BufferState> buffer,
          std::shared_ptr<runtime::Operation> operation)
      : buffer_(std::move(buffer)), operation_(std::move(operation)) {}

  std::shared_ptr<runtime::BufferState> buffer_;
  std::shared_ptr<runtime::Operation> operation_;
};

using PendingDispatch = Pending<DispatchResult>;
using PendingCombine = Pending<CombineResult>;

/// Memory of the heap that the caller fills, so that peers read it in place. Move-only; owns its
/// region, which is not zeroed.
class HeapTensor {
 public:
  HeapTensor() = default;
  HeapTensor(HeapTensor&& other) noexcept;
  HeapTensor& operator=(HeapTensor&& other) noexcept;
  HeapTensor(const HeapTensor&) = delete;
  HeapTensor& operator=(const HeapTensor&) = delete;
  ~HeapTensor();

  /// Errors:     InvalidState after release() or on a default-constructed tensor
  [[nodiscard]] TensorView view() const;
  void release();

 private:
  friend class runtime::BufferState;
  HeapTensor(std::shared_ptr<runtime::BufferState> buffer,
             std::uint64_t offset,
             const TensorView& view)
      : buffer_(std::move(buffer)), offset_(offset), view_(view) {}

  std::shared_ptr<runtime::BufferState> buffer_;
  std::uint64_t offset_ = 0;
  TensorView view_;
};

/// What a rank's memory holds now. Units: bytes
struct MemoryUse {
  std::uint64_t heap_bytes = 0;     ///< size of the heap
  std::uint64_t control_bytes = 0;  ///< of it, counters and mailboxes
  /// Of it, regions in use now. The control block is none; the region that is kept ready for the
  /// next padded dispatch is one.
  std::uint64_t used_bytes = 0;
  std::uint64_t peak_used_bytes = 0;  ///< highest used_bytes so far
};

/// Move-only. Calls on one Buffer and its Pendings come from one thread at a time; different ranks'
/// buffers are independent. All ranks issue the same sequence of operations, as with any
/// collective. Results and HeapTensors may outlive the Buffer and may be released by any thread.
class Buffer {
 public:
  /// Collective over the group, which is not needed afterwards.
  /// Errors:     InvalidArgument for a field out of range, or when the group has several nodes
  ///             (this build has no scale-out transport); ConfigMismatch naming rank, field, got
  ///             and wanted when ranks disagree; SystemError when memory or /dev/shm is full;
  ///             BootstrapError
  Buffer(Group& group, const Config& config);
  Buffer(Buffer&&) noexcept;
  Buffer& operator=(Buffer&&) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  /// Starts a dispatch, which background threads carry on.
  /// Lifetime:   x, scales and out_* stay valid and unchanged until it is finished; top-k tensors
  ///             are read before this returns (target cuda: as x)
  /// Errors:     InvalidArgument naming the field, got and wanted, or InvalidState (too many in
  ///             flight, foreign handle), both before anything is sent: the call may be repeated
  ///             with better arguments. The group's PeerLost, Timeout or Error{kInternal}, once
  ///             there is one.
  PendingDispatch issue(const DispatchRequest& request);
  /// issue and finish; the calling thread takes the place of the first worker.
  DispatchResult dispatch(const DispatchRequest& request);

  /// Starts a combine, which background threads carry on.
  /// Lifetime:   x, biases, row_* and out stay valid and unchanged until it is finished;
  ///             topk_weights are read before this returns (target cuda: as x)
  /// Errors:     as issue of a dispatch
  PendingCombine issue(const CombineRequest& request);
  CombineResult combine(const CombineRequest& request);

  /// Target cuda: the whole operation on `request.stream`, without any wait on the CPU: it waits for
  /// what the stream has been given so far, and what the stream is given next waits for it. Rows
  /// fill the front of a landing of exactly `request.max_rows` rows (padded: all places), which the
  /// result's shapes say; how many came is in DispatchHandle::device_counts(). While the stream is
  /// captured into a CUDA graph, the operation becomes part of it: each launch does it again, with
  /// the tensors as they are then, into the same memory. All ranks launch their graphs as they would
  /// issue what these hold. One enqueue of the same kind must have come before the first capture.
  /// Lifetime:   tensors, result and handle until the stream, or the last launch, is done with them
  /// Errors:     as issue; InvalidArgument without a stream, without max_rows in a compact layout,
  ///             or on the host target. What went wrong on the GPU is thrown by a later call, or by
  ///             check_enqueued(): operations behind a failed dispatch do nothing on any rank, and
  ///             their results hold anything.
  DispatchResult enqueue(const DispatchRequest& request);
  CombineResult enqueue(const CombineRequest& request);
  /// Looks at what the GPU has told of enqueued operations so far; waits for nothing. Of a captured
  /// operation it tells of the first launch that failed since the last look.
  /// Errors:     what finish() would have thrown
  void check_enqueued();

  /// Memory in the heap for expert outputs, one tensor of 1 to 4 dimensions; not collective.
  /// Errors:     InvalidArgument for a bad shape; HeapTooSmall
  HeapTensor allocate(DType dtype, std::initializer_list<std::int64_t> shape);

  /// What this rank's roles did since the last call, if Config::trace_events asks for it; not
  /// collective. Works after a fault, too, and then says who waited for what.
  Trace take_trace();

  [[nodiscard]] const Config& config() const;  ///< with every automatic field resolved
  [[nodiscard]] MemoryUse memory_use() const;
  /// World ranks that this one knows to be lost: whose process has ended, whom the group's fault
  /// names, and who was no member before. Grows while the buffer lives; what regroup() asks for.
  [[nodiscard]] std::vector<int> lost_ranks() const;
  /// One line for people: ranks, heap, workers, channels, instruction set.
  [[nodiscard]] std::string describe() const;

 private:
  friend class runtime::BufferState;
  explicit Buffer(std::shared_ptr<runtime::BufferState> state) : state_(std::move(state)) {}

  std::shared_ptr<runtime::BufferState> state_;
};

}  // namespace switchyard
