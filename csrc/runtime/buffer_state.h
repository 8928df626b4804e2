// The inside of a Buffer, whatever runs its roles: heap, epochs, what is in flight, and the way
// from request to result. Results hold it alive. host_buffer.h runs roles on worker threads,
// device_buffer.h in kernels.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "csrc/memory/arena.h"
#include "csrc/memory/peer_watch.h"
#include "csrc/memory/symmetric_heap.h"
#include "csrc/runtime/operation.h"
#include "csrc/targets/fault.h"
#include "switchyard/buffer.h"

namespace switchyard::runtime {

class BufferState : public std::enable_shared_from_this<BufferState> {
 public:
  BufferState(const BufferState&) = delete;
  BufferState& operator=(const BufferState&) = delete;
  virtual ~BufferState() = default;

  /// With `background`, the operation goes on without the caller.
  virtual std::shared_ptr<Operation> start(const DispatchRequest& request, bool background) = 0;
  virtual std::shared_ptr<Operation> start(const CombineRequest& request, bool background) = 0;
  [[nodiscard]] virtual bool is_done(const Operation& operation) const = 0;

  /// Waits, takes the outcome, throws what went wrong.
  virtual DispatchResult finish_dispatch(const std::shared_ptr<Operation>& operation) = 0;
  virtual CombineResult finish_combine(const std::shared_ptr<Operation>& operation) = 0;
  /// The whole operation on the caller's stream.
  /// Errors: InvalidArgument where roles run on the host
  virtual DispatchResult enqueue(const DispatchRequest& request);
  virtual CombineResult enqueue(const CombineRequest& request);
  virtual void check_enqueued() {}
  /// Waits and drops the outcome; for operations that nobody finishes.
  void abandon(const std::shared_ptr<Operation>& operation) noexcept;

  static Buffer make_buffer(std::shared_ptr<BufferState> state) { return Buffer(std::move(state)); }
  /// The heaps of all ranks, as the buffer's operations reach them; for the benchmark's roofs.
  /// Lifetime: the buffer's
  static const protocol::Peers& heaps_of(const Buffer& buffer) { return buffer.state_->peers_; }

  PendingDispatch issue(const DispatchRequest& request, bool background) {
    return {shared_from_this(), start(request, background)};
  }
  PendingCombine issue(const CombineRequest& request, bool background) {
    return {shared_from_this(), start(request, background)};
  }

  HeapTensor allocate(DType dtype, std::initializer_list<std::int64_t> shape);
  /// Empty where whatever runs the roles records nothing.
  virtual Trace take_trace() { return {.rank = peers_.rank}; }
  /// Of a result or a HeapTensor; by any thread.
  virtual void release_region(std::uint64_t offset) { arena_->release(offset); }
  /// The same of memory where peers may write after a failure that nobody has seen yet.
  virtual void release_unseen(std::uint64_t offset) { arena_->release(offset); }
  [[nodiscard]] std::byte* heap_at(std::uint64_t offset) const { return peers_.local(offset); }

  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] MemoryUse memory_use() const;
  [[nodiscard]] std::vector<int> lost_ranks() const;
  [[nodiscard]] virtual std::string describe() const = 0;

 protected:
  /// Agrees on the configuration; the heap is the derived class's to make.
  BufferState(Group& group, const Config& config);

  /// Takes the heap, whose first bytes are the control block, into use.
  void adopt_heap(Bootstrap& rendezvous, std::unique_ptr<memory::SymmetricHeap> heap);

  /// The group's fault, if there is one.
  [[nodiscard]] virtual std::optional<targets::Fault> fault() const = 0;

  [[nodiscard]] OperationContext context() const;
  /// Throws the group's fault, or InvalidState when too much is in flight.
  void check_can_issue() const;
  [[nodiscard]] std::shared_ptr<const HandleState> check_handle(const DispatchHandle& handle) const;
  /// The operation of the next epoch exists from here on.
  void count(Operation& operation);
  /// The operation is over; its outcome is about to be taken.
  void retire(Operation& operation);
  void release_if_any(std::uint64_t region);
  /// Keeps a region from everybody until no rank can write there on behalf of operation `epoch`.
  void quarantine(std::uint64_t region, std::uint64_t epoch);
  void release_quarantined(std::uint64_t finished_epoch);
  /// What finish_dispatch returns.
  static DispatchResult make_result(std::shared_ptr<const HandleState> handle,
                                    std::unique_ptr<LandedRows> rows);
  static CombineResult make_result(std::unique_ptr<CombinedRows> rows);

  struct Quarantined {
    std::uint64_t region;
    std::uint64_t epoch;
  };

  Topology topology_;
  int rank_ = 0;  // among all nodes
  Membership membership_;
  Config config_;
  std::uint64_t id_;
  protocol::ControlLayout control_;
  std::unique_ptr<memory::SymmetricHeap> heap_;
  protocol::Peers peers_;
  std::unique_ptr<memory::PeerWatch> watch_;
  std::unique_ptr<memory::Arena> arena_;

  std::uint64_t epoch_ = 0;             // of the last operation issued
  std::set<std::uint64_t> unfinished_;  // epochs issued and not finished
  std::uint64_t last_padded_epoch_ = 0;
  std::vector<Quarantined> quarantined_;  // peers may still write there
};

}  // namespace switchyard::runtime
