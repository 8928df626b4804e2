// A buffer whose roles are run by worker threads and by the threads that wait for results.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "csrc/runtime/buffer_state.h"
#include "csrc/targets/host/workers.h"

namespace switchyard::runtime {

class HostBuffer final : public BufferState {
 public:
  /// Collective. Errors: as Buffer's constructor
  HostBuffer(Group& group, const Config& config);

  std::shared_ptr<Operation> start(const DispatchRequest& request, bool background) override;
  std::shared_ptr<Operation> start(const CombineRequest& request, bool background) override;
  [[nodiscard]] bool is_done(const Operation& operation) const override;
  DispatchResult finish_dispatch(const std::shared_ptr<Operation>& operation) override;
  CombineResult finish_combine(const std::shared_ptr<Operation>& operation) override;
  void release_region(std::uint64_t offset) override;
  Trace take_trace() override;
  [[nodiscard]] std::string describe() const override;

 private:
  /// Rows of the last padded dispatch, and what its successor's senders must be told.
  struct PaddedResult {
    std::uint64_t epoch = 0;  ///< 0: none that could be offered
    std::uint64_t region = protocol::kNoRegion;
    protocol::DispatchArgs args;
  };

  [[nodiscard]] std::optional<targets::Fault> fault() const override;
  void submit(Operation& operation, bool background);
  void prepare_padded(DispatchOperation& operation);
  void wait(Operation& operation);
  void throw_if_unsuccessful(Operation& operation);
  [[nodiscard]] bool can_offer(std::uint64_t region) const;
  void offer_padded();
  void forget_padded();

  std::unique_ptr<host::Workers> workers_;

  // The chain of padded dispatches, and the quarantine: results are released by any thread.
  std::mutex padded_mutex_;
  PaddedResult padded_result_;
  std::uint64_t offered_region_ = protocol::kNoRegion;  // for the next padded dispatch
  std::uint32_t offered_signature_ = 0;
};

}  // namespace switchyard::runtime
