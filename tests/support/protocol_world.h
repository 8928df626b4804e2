// A group whose operations are built by the runtime and whose roles are stepped by a test, over a
// WeakMemory. Each rank keeps its books (epochs, slots, padded regions) as HostBuffer does.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "csrc/protocol/combine_accumulate.h"
#include "csrc/protocol/combine_announce.h"
#include "csrc/protocol/combine_copy_in.h"
#include "csrc/protocol/count_exchange.h"
#include "csrc/protocol/scale_up_receive.h"
#include "csrc/protocol/scale_up_send.h"
#include "csrc/runtime/operation.h"
#include "tests/support/scripted_warp.h"
#include "tests/support/test_heaps.h"
#include "tests/support/weak_memory.h"

namespace switchyard::test {

struct WorldOptions {
  int num_ranks = 2;
  int num_channels = 1;
  int max_in_flight = 2;
  int num_slots = 0;  ///< 0: as many as the runtime has
  int max_experts = 16;
  int chunk_tokens = 2;
  ExpertCopies expert_copies = ExpertCopies::kBySender;
  std::uint64_t heap_bytes = std::uint64_t{1} << 20U;
  std::uint64_t first_epoch = 1;
  std::uint64_t seed = 1;
  WeakMemoryOptions memory;
};

/// One role of an operation with a warp of its own, as on a GPU: the weakest of all targets.
class SteppedRole {
 public:
  template <class Role>
  SteppedRole(Role role, WeakMemory& memory, const protocol::OperationArgs& op, int channel);

  /// Throws ModelViolation when a blocked step had an effect that others can notice.
  protocol::Progress step();

  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] const protocol::WaitPoint& wait() const;
  [[nodiscard]] protocol::RoleKind kind() const;
  [[nodiscard]] int warp() const { return warp_.id(); }
  /// "rank 1 operation 3 scale-up send 0".
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  using AnyRole = std::variant<protocol::CountExchange,
                               protocol::ScaleUpSend,
                               protocol::ScaleUpReceive,
                               protocol::CombineAnnounce,
                               protocol::CombineCopyIn,
                               protocol::CombineAccumulate>;

  std::string name_;
  AnyRole role_;
  ScriptedWarp warp_;
  bool done_ = false;
};

/// An operation of one rank that was issued and not finished.
struct RunningOperation {
  std::shared_ptr<runtime::Operation> operation;
  std::vector<std::unique_ptr<SteppedRole>> roles;

  [[nodiscard]] bool done() const;
};

class WorldRank {
 public:
  WorldRank(WeakMemory& memory, const WorldOptions& options, const Config& config, int rank);

  [[nodiscard]] bool can_issue() const;
  std::shared_ptr<runtime::DispatchOperation> issue(
      const DispatchRequest& request,
      const std::shared_ptr<const runtime::HandleState>& previous = nullptr);
  std::shared_ptr<runtime::CombineOperation> issue(
      const CombineRequest& request, const std::shared_ptr<const runtime::HandleState>& handle);

  [[nodiscard]] std::vector<RunningOperation>& running() { return running_; }
  [[nodiscard]] bool is_running(const runtime::Operation& operation) const;
  [[nodiscard]] bool is_done(const runtime::Operation& operation) const;

  /// Ends an operation whose roles are done. The regions of one that succeeded stay with the
  /// operation until they are released; those of one that failed are gone. True on success.
  bool finish(runtime::DispatchOperation& operation);
  bool finish(runtime::CombineOperation& operation);
  /// Gives a region of a finished operation, or of `allocate`, back.
  void release(std::uint64_t& region);
  std::uint64_t allocate(std::uint64_t bytes) { return caller_.allocate(bytes); }
  /// Regions that padded dispatches hold on to between operations.
  [[nodiscard]] std::size_t num_kept_regions() const {
    return quarantined_.size() + (offered_region_ == protocol::kNoRegion ? 0 : 1);
  }

  [[nodiscard]] std::byte* at(std::uint64_t offset) const { return peers_.local(offset); }
  /// The caller reads or writes rows of its heap.
  const std::byte* read(std::uint64_t offset, std::size_t bytes);
  std::byte* write(std::uint64_t offset, std::size_t bytes);
  [[nodiscard]] runtime::OperationContext context() const;

 private:
  struct Quarantined {
    std::uint64_t region;
    std::uint64_t epoch;
  };

  void start(const std::shared_ptr<runtime::Operation>& operation);
  void retire(const runtime::Operation& operation);
  void prepare_padded(runtime::DispatchOperation& operation);
  void offer_next_padded(const runtime::DispatchOperation& operation);
  void forget_padded();
  void release_quarantined(std::uint64_t finished_epoch);

  WeakMemory& memory_;
  WorldOptions options_;
  const Config& config_;
  int rank_;
  protocol::Peers peers_;
  ScriptedWarp caller_;
  std::vector<RunningOperation> running_;
  std::uint64_t epoch_;
  std::set<std::uint64_t> unfinished_;
  std::uint64_t last_padded_epoch_ = 0;
  std::uint64_t offered_region_ = protocol::kNoRegion;
  std::uint32_t offered_signature_ = 0;
  std::vector<Quarantined> quarantined_;
};

class ProtocolWorld {
 public:
  explicit ProtocolWorld(const WorldOptions& options);
  ProtocolWorld(const ProtocolWorld&) = delete;
  ProtocolWorld& operator=(const ProtocolWorld&) = delete;

  [[nodiscard]] const WorldOptions& options() const { return options_; }
  [[nodiscard]] TestHeaps& heaps() { return heaps_; }
  [[nodiscard]] WeakMemory& memory() { return memory_; }
  [[nodiscard]] WorldRank& rank(int rank) { return *ranks_[static_cast<std::size_t>(rank)]; }

  /// Steps every role of every rank, publishing as it goes, until none advances.
  void run_until_blocked();

  [[nodiscard]] static std::string describe_failure(const runtime::Operation& operation);

 private:
  WorldOptions options_;
  Config config_;
  TestHeaps heaps_;
  WeakMemory memory_;
  std::vector<std::unique_ptr<WorldRank>> ranks_;
};

}  // namespace switchyard::test
