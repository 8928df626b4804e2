// A buffer whose roles run in the kernels of a device. The host enqueues, and looks only when it is
// asked to.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "csrc/runtime/buffer_state.h"
#include "csrc/runtime/device_tables.h"
#include "csrc/runtime/enqueued.h"
#include "csrc/targets/device.h"

namespace switchyard::runtime {

using MakeDevice = std::function<std::shared_ptr<targets::Device>()>;

class DeviceBuffer final : public BufferState {
 public:
  /// Collective. Errors: as Buffer's constructor; on every rank, what `make_device` threw on one of
  /// them; InvalidArgument on every rank when the ranks that share a device need more of its SMs
  /// than can run at once
  DeviceBuffer(Group& group, const Config& config, const MakeDevice& make_device);
  ~DeviceBuffer() override;

  std::shared_ptr<Operation> start(const DispatchRequest& request, bool background) override;
  std::shared_ptr<Operation> start(const CombineRequest& request, bool background) override;
  DispatchResult enqueue(const DispatchRequest& request) override;
  CombineResult enqueue(const CombineRequest& request) override;
  void check_enqueued() override;
  void release_unseen(std::uint64_t offset) override;
  [[nodiscard]] bool is_done(const Operation& operation) const override;
  DispatchResult finish_dispatch(const std::shared_ptr<Operation>& operation) override;
  CombineResult finish_combine(const std::shared_ptr<Operation>& operation) override;
  [[nodiscard]] std::string describe() const override;

 private:
  /// One operation's place among those in flight.
  struct Slot {
    targets::Mark done;
    cuda::Outcome* outcome = nullptr;
  };

  [[nodiscard]] std::optional<targets::Fault> fault() const override { return fault_; }
  [[nodiscard]] OperationContext device_context() const;
  [[nodiscard]] cuda::Sequence* sequence() const;
  [[nodiscard]] Slot& slot_of(const Operation& operation);
  [[nodiscard]] const Slot& slot_of(const Operation& operation) const;
  void check_residency(Bootstrap& rendezvous) const;
  [[nodiscard]] const std::int32_t* device_expert_map(int num_experts);
  [[nodiscard]] cuda::RouteArgs route_args(const DispatchRequest& request,
                                           const DeviceTables& tables);
  cuda::ReservedRegion reserve(std::uint64_t bytes);
  cuda::ReservedRegion reserve_up_to(std::uint64_t bytes);
  [[nodiscard]] cuda::OperationLaunch describe_launch(Operation& operation,
                                                      const DeviceTables& tables,
                                                      bool on_stream);
  std::shared_ptr<DispatchOperation> launch(const DispatchRequest& request, bool on_stream);
  std::shared_ptr<CombineOperation> launch(const CombineRequest& request, bool on_stream);
  void refuse_recording(void* stream);
  void prepare_to_enqueue(void* stream);
  std::shared_ptr<void> keep_enqueued(const std::shared_ptr<Operation>& operation, void* stream);
  void fill_tables(DispatchOperation& operation) const;
  void fill_tables(CombineOperation& operation, const CombineRequest& request) const;
  void fill_topk_weights(CombineOperation& operation, const CombineRequest& request);
  void wait(Operation& operation);
  void throw_if_unsuccessful(Operation& operation);
  [[nodiscard]] std::optional<Descriptor> read_descriptor(const Operation& operation,
                                                          std::uint64_t epoch);
  [[nodiscard]] targets::Fault read_fault();

  std::shared_ptr<targets::Device> device_;
  std::unique_ptr<targets::DeviceBlock> sequence_;
  std::byte* outcomes_ = nullptr;
  std::vector<Slot> slots_;                                           // by epoch
  std::map<int, std::unique_ptr<targets::DeviceBlock>> expert_maps_;  // by number of experts
  std::optional<targets::Fault> fault_;
  EnqueuedOperations enqueued_;
  std::mutex unseen_mutex_;
  std::vector<std::uint64_t> unseen_;  // regions that were given back, by any thread
};

/// The public face of such a buffer, over any device.
Buffer make_device_buffer(Group& group, const Config& config, const MakeDevice& make_device);

}  // namespace switchyard::runtime
