// One rank of a group whose operations run as kernels on the emulated machine: the host side, which
// launches, looks at what came of it and gives memory back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "benchmarks/sim/exchange_plan.h"
#include "benchmarks/sim/exchange_request.h"
#include "benchmarks/sim/naive_exchange.h"
#include "benchmarks/sim/rank_program.h"
#include "benchmarks/sim/world.h"
#include "csrc/targets/cuda/launch_args.h"
#include "tests/emulated/device/world.h"
#include "tests/emulated/support/device_memory.h"
#include "tests/emulated/support/kernels.h"

namespace switchyard::sim {

struct LaunchOptions {
  emulated::KernelOptions kernels;
  std::uint64_t timeout_ns = 10'000'000'000;  ///< of virtual time
};

/// What a test does to a run, and what must come of it. Nothing, by default.
class Interference {
 public:
  Interference() = default;
  Interference(const Interference&) = delete;
  Interference& operator=(const Interference&) = delete;
  virtual ~Interference() = default;

  /// The rank never launches this operation of the plan, nor any behind it.
  virtual bool stays_away(int /*rank*/, const PlannedOperation& /*operation*/) { return false; }
  virtual void before_route(int /*rank*/, int /*dispatch*/, cuda::RouteArgs& /*args*/) {}
  virtual void before_dispatch(int /*rank*/, int /*dispatch*/, cuda::DispatchLaunch& /*launch*/) {}
  /// What arrives where `value` is stored, at a word of the control block of rank `owner`.
  virtual protocol::Word carry(int /*owner*/, std::uint64_t /*offset*/, protocol::Word value) {
    return value;
  }
  /// How the dispatch must fail on this rank.
  virtual std::optional<protocol::Failure> failure(int /*rank*/, int /*dispatch*/) {
    return std::nullopt;
  }
  /// The bad entry that the dispatch must report on this rank; token -1 for none.
  virtual cuda::BadEntry bad_entry(int /*rank*/, int /*dispatch*/) { return {}; }
};

/// What all ranks of a run share.
struct EmulatedRun {
  const ExchangePlan& plan;
  NaiveExchange& naive;
  Outcomes& outcomes;
  World& world;
  emulated::World& machine;
  LaunchOptions options;
  Interference& interference;
};

class EmulatedRank {
 public:
  EmulatedRank(const EmulatedRun& run, int rank);

  /// Every operation of the plan, one after the other. Called by: a body of World::run_all.
  /// Errors: ModelViolation, EmulationError
  void run();

  /// The fault of the group that ended the run for this rank, if one did.
  [[nodiscard]] const std::optional<protocol::ErrorRecord>& fault() const { return fault_; }
  /// What the last kernel told the host.
  [[nodiscard]] const cuda::Outcome& outcome() const { return outcome_; }

 private:
  struct Dispatched {
    std::shared_ptr<runtime::DispatchOperation> operation;
    std::shared_ptr<emulated::DeviceWorkspace> memory;
    DispatchCall call;
    int index = 0;  ///< in the plan
    int combines_left = 0;
    bool failed = false;
  };

  [[nodiscard]] WorldRank& own() const { return run_.world.rank(rank_); }
  [[nodiscard]] Dispatched& dispatched(int index) {
    return dispatched_[static_cast<std::size_t>(index)];
  }

  void dispatch(int index);
  void route(const Dispatched& dispatched, const cuda::WorkspaceShape& shape);
  [[nodiscard]] cuda::DispatchLaunch dispatch_launch(int index);
  void take_landing(Dispatched& dispatched);

  void combine(int index);
  ConstTensorView place_expert_rows(int index, std::uint64_t& region);
  [[nodiscard]] cuda::CombineLaunch combine_launch(runtime::CombineOperation& operation,
                                                   const Dispatched& rows);

  [[nodiscard]] cuda::OperationLaunch common(runtime::Operation& operation);
  void reserve(cuda::OperationLaunch& launch, std::uint64_t bytes);
  void release_unused(const cuda::OperationLaunch& launch, std::vector<std::uint64_t> used);
  void take_outcome(runtime::Operation& operation, const cuda::BadEntry& bad_entry);
  void judge(int index, bool success);
  void release_if_done(Dispatched& dispatched);

  EmulatedRun run_;
  int rank_;
  cuda::Sequence sequence_;
  cuda::Outcome outcome_;
  std::vector<Dispatched> dispatched_;
  std::optional<protocol::ErrorRecord> fault_;
};

/// A group on one emulated machine.
class EmulatedGroup {
 public:
  /// Lifetime: `plan` and `interference` outlive the group.
  EmulatedGroup(const ExchangePlan& plan, std::uint64_t seed, const WorldOptions& options);
  EmulatedGroup(const ExchangePlan& plan,
                std::uint64_t seed,
                const WorldOptions& options,
                Interference& interference,
                std::uint64_t timeout_ns);

  /// Errors: as EmulatedRank::run, and when memory was lost on the way
  void run();

  [[nodiscard]] protocol::ErrorRecord& error_record(int rank) {
    return *reinterpret_cast<protocol::ErrorRecord*>(
        world_.heaps().peers(rank).local(world_.heaps().control().error_record()));
  }
  [[nodiscard]] const EmulatedRank& rank(int rank) const {
    return *ranks_[static_cast<std::size_t>(rank)];
  }

 private:
  void set_hooks(Interference& interference);

  Interference none_;
  World world_;
  NaiveExchange naive_;
  Outcomes outcomes_;
  emulated::World machine_;
  std::vector<std::unique_ptr<EmulatedRank>> ranks_;
};

}  // namespace switchyard::sim
