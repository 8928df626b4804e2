// The caller of one rank in a run of an ExchangePlan: issues, finishes, checks and releases.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "benchmarks/sim/exchange_plan.h"
#include "benchmarks/sim/guarded_buffer.h"
#include "benchmarks/sim/naive_exchange.h"
#include "benchmarks/sim/world.h"
#include "csrc/targets/fault.h"

namespace switchyard::sim {

/// An operation ended in a way that nothing in the plan explains.
class OperationFailed : public ModelViolation {
 public:
  OperationFailed(const std::string& what, const std::optional<targets::Fault>& of_group)
      : ModelViolation(what), fault(of_group) {}
  std::optional<targets::Fault> fault;  ///< on what a peer sent: the group fails
};

/// How operations ended. Every rank must see the same end.
class Outcomes {
 public:
  /// `tight`: any operation may find that a heap has no room, the same one on every rank.
  Outcomes(const ExchangePlan& plan, bool tight)
      : plan_(plan),
        tight_(tight),
        dispatches_(plan.dispatches.size()),
        combines_(plan.combines.size()) {}

  /// A rank finished an operation. Throws OperationFailed when it may not have ended so.
  void note_dispatch(std::size_t index, const runtime::DispatchOperation& operation, bool success);
  void note_combine(std::size_t index, const runtime::CombineOperation& operation, bool success);

 private:
  using Ends = std::vector<std::optional<protocol::Failure>>;

  void note(Ends& ends, std::size_t index, const runtime::Operation& operation, bool expected);

  const ExchangePlan& plan_;
  bool tight_;
  Ends dispatches_;
  Ends combines_;
};

/// The caller of one rank.
class RankProgram {
 public:
  RankProgram(
      const ExchangePlan& plan, NaiveExchange& naive, Outcomes& outcomes, World& world, int rank);

  /// Does one thing that can be done now, picked by chance; false when there is none.
  bool step(std::mt19937_64& random);
  /// Everything was issued, finished, checked and released.
  [[nodiscard]] bool done() const;
  /// What was issued under this number.
  [[nodiscard]] std::optional<PlannedOperation> operation_of(std::uint64_t epoch) const;

 private:
  struct Dispatched {
    std::shared_ptr<runtime::DispatchOperation> operation;
    std::unique_ptr<GuardedBuffer> rows;
    std::unique_ptr<GuardedBuffer> scales;
    int combines_left = 0;
    bool finished = false;
    bool failed = false;
    bool rows_in_use = false;  ///< a combine reads what lies in the region
  };
  struct Combined {
    std::shared_ptr<runtime::CombineOperation> operation;
    std::unique_ptr<GuardedBuffer> out;
    std::uint64_t expert_region = protocol::kNoRegion;
    bool finished = false;
    bool failed = false;
    bool released = false;
  };
  enum class Action : std::uint8_t {
    kIssue,
    kFinishDispatch,
    kFinishCombine,
    kReleaseDispatch,
    kReleaseCombine
  };
  struct Choice {
    Action action;
    std::size_t index;
  };

  [[nodiscard]] std::vector<Choice> choices() const;
  [[nodiscard]] const Dispatched* needed_by(const PlannedOperation& operation) const;
  [[nodiscard]] bool can_issue_next() const;
  void issue_next();
  void issue_dispatch(std::size_t index);
  void issue_combine(std::size_t index);
  ConstTensorView place_expert_rows(std::size_t index);
  void finish_dispatch(std::size_t index);
  void finish_combine(std::size_t index);
  void release_combine(Combined& combined);

  const ExchangePlan& plan_;
  NaiveExchange& naive_;
  Outcomes& outcomes_;
  World& world_;
  int rank_;
  std::size_t next_ = 0;
  std::vector<Dispatched> dispatched_;
  std::vector<Combined> combined_;
};

}  // namespace switchyard::sim
