// The inside of a Buffer: heap, workers, epochs, and the life of every operation. Results hold it
// alive.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "csrc/memory/arena.h"
#include "csrc/memory/peer_watch.h"
#include "csrc/memory/symmetric_heap.h"
#include "csrc/runtime/operation.h"
#include "csrc/targets/host/workers.h"
#include "switchyard/buffer.h"

namespace switchyard::runtime {

class BufferState : public std::enable_shared_from_this<BufferState> {
 public:
  BufferState(Group& group, const Config& config);
  BufferState(const BufferState&) = delete;
  BufferState& operator=(const BufferState&) = delete;
  ~BufferState();

  /// With `background`, the operation goes on without the caller.
  PendingDispatch issue(const DispatchRequest& request, bool background);
  PendingCombine issue(const CombineRequest& request, bool background);

  /// Waits, takes the outcome, throws what went wrong.
  DispatchResult finish_dispatch(const std::shared_ptr<Operation>& operation);
  CombineResult finish_combine(const std::shared_ptr<Operation>& operation);
  /// Waits and drops the outcome; for operations that nobody finishes.
  void abandon(const std::shared_ptr<Operation>& operation) noexcept;

  HeapTensor allocate(DType dtype, std::initializer_list<std::int64_t> shape);
  void release_region(std::uint64_t offset) { arena_->release(offset); }
  [[nodiscard]] std::byte* heap_at(std::uint64_t offset) const { return peers_.local(offset); }

  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] MemoryUse memory_use() const;
  [[nodiscard]] std::vector<int> lost_ranks() const;
  [[nodiscard]] std::string describe() const;

 private:
  struct Quarantined {
    std::uint64_t region;
    std::uint64_t epoch;
  };

  [[nodiscard]] OperationContext context() const;
  void check_can_issue() const;
  [[nodiscard]] std::shared_ptr<const HandleState> check_handle(const DispatchHandle& handle) const;
  void start(const std::shared_ptr<Operation>& operation, bool background);
  void prepare_padded(DispatchOperation& operation);
  void wait(Operation& operation);
  void throw_if_unsuccessful(Operation& operation);
  void offer_next_padded(const DispatchOperation& operation);
  void forget_padded();
  void quarantine(std::uint64_t region, std::uint64_t epoch);
  void release_quarantined(std::uint64_t finished_epoch);
  void release_if_any(std::uint64_t region);

  Topology topology_;
  Membership membership_;
  Config config_;
  std::uint64_t id_;
  protocol::ControlLayout control_;
  std::unique_ptr<memory::SymmetricHeap> heap_;
  protocol::Peers peers_;
  std::unique_ptr<memory::PeerWatch> watch_;
  std::unique_ptr<memory::Arena> arena_;
  std::unique_ptr<host::Workers> workers_;

  std::uint64_t epoch_ = 0;             // of the last operation issued
  std::set<std::uint64_t> unfinished_;  // epochs issued and not finished
  std::uint64_t last_padded_epoch_ = 0;
  std::uint64_t offered_region_ = protocol::kNoRegion;  // for the next padded dispatch
  std::uint32_t offered_signature_ = 0;
  std::vector<Quarantined> quarantined_;  // peers may still write there
};

}  // namespace switchyard::runtime
