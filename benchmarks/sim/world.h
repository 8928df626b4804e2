// A group whose operations are built by the runtime and whose roles are stepped by a test, over a
// WeakMemory. Each rank keeps its books (epochs, slots, padded regions) as HostBuffer does.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "csrc/runtime/operation.h"
#include "csrc/targets/sim/heaps.h"
#include "csrc/targets/sim/network.h"
#include "csrc/targets/sim/sim_role.h"
#include "csrc/targets/sim/weak_memory.h"

namespace switchyard::sim {

struct WorldOptions {
  int num_ranks = 2;  ///< of all nodes
  int num_nodes = 1;
  int num_channels = 1;
  int max_in_flight = 2;
  int num_slots = 0;  ///< 0: as many as the runtime has
  int max_experts = 16;
  int chunk_tokens = 2;
  ExpertCopies expert_copies = ExpertCopies::kBySender;
  std::uint64_t heap_bytes = std::uint64_t{1} << 20U;
  std::uint64_t track_bytes = 4096;  ///< with several nodes
  int chunk_packets = 2;
  std::uint64_t first_epoch = 1;
  std::uint64_t seed = 1;
  WeakMemoryOptions memory;
  NetworkOptions network;
};

/// An operation of one rank that was issued and not finished.
struct RunningOperation {
  std::shared_ptr<runtime::Operation> operation;
  std::vector<std::unique_ptr<SimRole>> roles;

  [[nodiscard]] bool done() const;
};

class WorldRank {
 public:
  WorldRank(WeakMemory& memory,
            Network& network,
            const WorldOptions& options,
            const Config& config,
            int rank);

  [[nodiscard]] bool can_issue() const;
  /// Builds an operation and counts it as issued; the caller has its roles played.
  std::shared_ptr<runtime::DispatchOperation> prepare(
      const DispatchRequest& request,
      const std::shared_ptr<const runtime::HandleState>& previous = nullptr);
  std::shared_ptr<runtime::CombineOperation> prepare(
      const CombineRequest& request, const std::shared_ptr<const runtime::HandleState>& handle);
  /// As prepare, with roles to be stepped.
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
  [[nodiscard]] runtime::OperationContext context();

 private:
  struct Quarantined {
    std::uint64_t region;
    std::uint64_t epoch;
  };

  void start(const std::shared_ptr<runtime::Operation>& operation);
  template <class Role>
  void add_role(Role role,
                const protocol::OperationArgs& op,
                int channel,
                const std::shared_ptr<PrivateTables>& tables);
  void retire(const runtime::Operation& operation);
  void prepare_padded(runtime::DispatchOperation& operation);
  void offer_next_padded(const runtime::DispatchOperation& operation);
  void forget_padded();
  void release_quarantined(std::uint64_t finished_epoch);

  WeakMemory& memory_;
  Network& network_;
  WorldOptions options_;
  const Config& config_;
  int rank_;
  protocol::Peers peers_;
  SimWarp caller_;
  std::vector<RunningOperation> running_;
  std::uint64_t epoch_;
  std::set<std::uint64_t> unfinished_;
  std::vector<protocol::RingEnds> ring_ends_;
  std::uint64_t last_combine_ = 0;
  std::uint64_t last_padded_epoch_ = 0;
  std::uint64_t offered_region_ = protocol::kNoRegion;
  std::uint32_t offered_signature_ = 0;
  std::vector<Quarantined> quarantined_;
};

class World {
 public:
  explicit World(const WorldOptions& options);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// The control block of such a world.
  static protocol::ControlLayout control_of(const WorldOptions& options);

  [[nodiscard]] const WorldOptions& options() const { return options_; }
  [[nodiscard]] Heaps& heaps() { return heaps_; }
  [[nodiscard]] WeakMemory& memory() { return memory_; }
  [[nodiscard]] Network& network() { return network_; }
  [[nodiscard]] WorldRank& rank(int rank) { return *ranks_[static_cast<std::size_t>(rank)]; }

  /// Steps every role of every rank, publishing and delivering as it goes, until none advances.
  void run_until_blocked();

  [[nodiscard]] static std::string describe_failure(const runtime::Operation& operation);

 private:
  WorldOptions options_;
  Config config_;
  Heaps heaps_;
  WeakMemory memory_;
  Network network_;
  std::vector<std::unique_ptr<WorldRank>> ranks_;
};

}  // namespace switchyard::sim
