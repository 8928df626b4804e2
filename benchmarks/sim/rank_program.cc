#include "benchmarks/sim/rank_program.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "benchmarks/sim/exchange_check.h"
#include "benchmarks/sim/exchange_request.h"
#include "csrc/runtime/outcome.h"

namespace switchyard::sim {
namespace {

const std::byte* copy_rows(const std::vector<std::byte>& rows, std::byte* to) {
  if (!rows.empty()) {
    std::memcpy(to, rows.data(), rows.size());
  }
  return to;
}

/// What an operation that met damage does to the group.
std::optional<targets::Fault> fault_of(const runtime::Operation& operation) {
  if (operation.flags.failed == 0 || !runtime::is_corrupt(operation)) {
    return std::nullopt;
  }
  return runtime::corruption_fault(operation, operation.args_op().self());
}

}  // namespace

void Outcomes::note(Ends& ends,
                    std::size_t index,
                    const runtime::Operation& operation,
                    bool expected) {
  const protocol::Failure& failure = operation.failure;
  const bool failed = operation.flags.failed != 0;
  const bool no_room = tight_ && failure.kind == protocol::FailureKind::kHeapTooSmall;
  auto& end = ends[index];
  const protocol::Failure first = end.value_or(failure);
  // Ranks that disagree each name one that differs from them, and behind its head see no refusal
  // that others see.
  const bool disagree = first.kind == protocol::FailureKind::kMismatch ||
                        failure.kind == protocol::FailureKind::kMismatch;
  const bool alike = disagree ? failed && first.kind != protocol::FailureKind::kNone
                              : first.kind == failure.kind && first.rank == failure.rank;
  if (!(expected || (failed && no_room)) || !alike) {
    throw OperationFailed(fmt::format("{} {} {}{}: {}",
                                      operation.name(),
                                      index,
                                      failed ? "failed" : "succeeded",
                                      alike ? "" : ", but not alike on every rank",
                                      World::describe_failure(operation)),
                          fault_of(operation));
  }
  end = first;
}

void Outcomes::note_dispatch(std::size_t index,
                             const runtime::DispatchOperation& operation,
                             bool success) {
  const DispatchPlan& plan = plan_.dispatches[index];
  const protocol::FailureKind kind = operation.failure.kind;
  // A padded dispatch that follows a failed one closely may find that ranks remember different
  // predecessors: those that had not yet finished the failed one still name it.
  const bool may_disagree = plan.layout == Layout::kPadded && plan_.max_in_flight > 1 &&
                            (plan_.has_refusals() || tight_) &&
                            kind == protocol::FailureKind::kMismatch;
  const bool refused = plan.refused_by >= 0 && kind == protocol::FailureKind::kOutputTooSmall &&
                       operation.failure.rank == plan.refused_by;
  const bool expected = success ? plan.refused_by < 0 : refused || may_disagree;
  note(dispatches_, index, operation, expected);
}

void Outcomes::note_combine(std::size_t index,
                            const runtime::CombineOperation& operation,
                            bool success) {
  note(combines_, index, operation, success);
}

RankProgram::RankProgram(
    const ExchangePlan& plan, NaiveExchange& naive, Outcomes& outcomes, World& world, int rank)
    : plan_(plan),
      naive_(naive),
      outcomes_(outcomes),
      world_(world),
      rank_(rank),
      dispatched_(plan.dispatches.size()),
      combined_(plan.combines.size()) {
  for (const CombinePlan& combine : plan.combines) {
    ++dispatched_[static_cast<std::size_t>(combine.dispatch)].combines_left;
  }
}

bool RankProgram::done() const {
  return next_ == plan_.operations.size() && world_.rank(rank_).running().empty() &&
         choices().empty();
}

std::optional<PlannedOperation> RankProgram::operation_of(std::uint64_t epoch) const {
  for (const PlannedOperation& each : plan_.operations) {
    const auto index = static_cast<std::size_t>(each.index);
    const runtime::Operation* issued = nullptr;
    if (each.is_dispatch) {
      issued = dispatched_[index].operation.get();
    } else {
      issued = combined_[index].operation.get();
    }
    if (issued != nullptr && issued->epoch == epoch) {
      return each;
    }
  }
  return std::nullopt;
}

bool RankProgram::step(std::mt19937_64& random) {
  const std::vector<Choice> possible = choices();
  if (possible.empty()) {
    return false;
  }
  const Choice choice = possible[random() % possible.size()];
  switch (choice.action) {
    case Action::kIssue:
      issue_next();
      break;
    case Action::kFinishDispatch:
      finish_dispatch(choice.index);
      break;
    case Action::kFinishCombine:
      finish_combine(choice.index);
      break;
    case Action::kReleaseDispatch:
      world_.rank(rank_).release(dispatched_[choice.index].operation->region);
      break;
    case Action::kReleaseCombine:
      release_combine(combined_[choice.index]);
      break;
  }
  return true;
}

std::vector<RankProgram::Choice> RankProgram::choices() const {
  std::vector<Choice> possible;
  const WorldRank& rank = world_.rank(rank_);
  if (can_issue_next()) {
    possible.push_back({Action::kIssue, 0});
  }
  for (std::size_t i = 0; i < dispatched_.size(); ++i) {
    const Dispatched& each = dispatched_[i];
    if (each.operation == nullptr) {
      continue;
    }
    if (!each.finished && rank.is_done(*each.operation)) {
      possible.push_back({Action::kFinishDispatch, i});
    } else if (each.finished && each.combines_left == 0 &&
               each.operation->region != protocol::kNoRegion) {
      possible.push_back({Action::kReleaseDispatch, i});
    }
  }
  for (std::size_t i = 0; i < combined_.size(); ++i) {
    const Combined& each = combined_[i];
    if (each.operation == nullptr) {
      continue;
    }
    if (!each.finished && rank.is_done(*each.operation)) {
      possible.push_back({Action::kFinishCombine, i});
    } else if (each.finished && !each.released) {
      possible.push_back({Action::kReleaseCombine, i});
    }
  }
  return possible;
}

/// The dispatch whose handle or rows the operation works with.
const RankProgram::Dispatched* RankProgram::needed_by(const PlannedOperation& operation) const {
  const auto index = static_cast<std::size_t>(operation.index);
  const int needed =
      operation.is_dispatch ? plan_.dispatches[index].follows : plan_.combines[index].dispatch;
  return needed < 0 ? nullptr : &dispatched_[static_cast<std::size_t>(needed)];
}

bool RankProgram::can_issue_next() const {
  if (next_ == plan_.operations.size() || !world_.rank(rank_).can_issue()) {
    return false;
  }
  const PlannedOperation& next = plan_.operations[next_];
  const Dispatched* needed = needed_by(next);
  if (needed == nullptr || next.is_dispatch) {
    return needed == nullptr || needed->finished;
  }
  const CombinePlan& combine = plan_.combines[static_cast<std::size_t>(next.index)];
  const bool over_landed =
      combine.expert_rows[static_cast<std::size_t>(rank_)] == ExpertRows::kOverLandedRows;
  return needed->finished && !(over_landed && needed->rows_in_use);
}

/// What needs a dispatch that failed is left out, on every rank.
void RankProgram::issue_next() {
  const PlannedOperation& operation = plan_.operations[next_++];
  const Dispatched* needed = needed_by(operation);
  const bool left_out = needed != nullptr && needed->failed;
  const auto index = static_cast<std::size_t>(operation.index);
  if (operation.is_dispatch && left_out) {
    dispatched_[index].finished = true;
    dispatched_[index].failed = true;
  } else if (operation.is_dispatch) {
    issue_dispatch(index);
  } else if (!left_out) {
    issue_combine(index);
  }
}

void RankProgram::issue_dispatch(std::size_t index) {
  const DispatchPlan& plan = plan_.dispatches[index];
  Dispatched& dispatched = dispatched_[index];
  DispatchCall call = make_dispatch_call(plan, naive_, static_cast<int>(index), rank_);
  dispatched.rows = std::move(call.rows);
  dispatched.scales = std::move(call.scales);
  std::shared_ptr<const runtime::HandleState> previous;
  if (plan.follows >= 0) {
    previous = dispatched_[static_cast<std::size_t>(plan.follows)].operation->handle;
  }
  dispatched.operation = world_.rank(rank_).issue(call.request, previous);
}

/// Puts the expert outputs where the plan wants them.
ConstTensorView RankProgram::place_expert_rows(std::size_t index) {
  const CombinePlan& plan = plan_.combines[index];
  Dispatched& dispatched = dispatched_[static_cast<std::size_t>(plan.dispatch)];
  const CombineData& data = naive_.data(static_cast<int>(index), rank_);
  const std::int64_t num_rows = dispatched.operation->handle->num_rows;
  const std::size_t bytes = data.rows.size();
  const std::byte* rows = data.rows.data();
  WorldRank& rank = world_.rank(rank_);
  switch (plan.expert_rows[static_cast<std::size_t>(rank_)]) {
    case ExpertRows::kOverLandedRows:
      dispatched.rows_in_use = true;
      rows = copy_rows(data.rows, rank.write(dispatched.operation->region, bytes));
      break;
    case ExpertRows::kInHeap:
      combined_[index].expert_region = rank.allocate(bytes);
      if (combined_[index].expert_region == protocol::kNoRegion) {
        break;  // a tight heap: they stay private
      }
      rows = copy_rows(data.rows, rank.write(combined_[index].expert_region, bytes));
      break;
    case ExpertRows::kPrivate:
      break;
  }
  const int hidden = plan_.dispatches[static_cast<std::size_t>(plan.dispatch)].hidden;
  return {rows, plan.dtype, {num_rows, hidden}};
}

void RankProgram::issue_combine(std::size_t index) {
  const CombinePlan& plan = plan_.combines[index];
  const Dispatched& dispatched = dispatched_[static_cast<std::size_t>(plan.dispatch)];
  Combined& combined = combined_[index];
  const ConstTensorView rows = place_expert_rows(index);
  CombineCall call = make_combine_call(plan_, naive_, static_cast<int>(index), rank_, rows);
  combined.out = std::move(call.out);
  combined.operation = world_.rank(rank_).issue(call.request, dispatched.operation->handle);
}

void RankProgram::finish_dispatch(std::size_t index) {
  Dispatched& dispatched = dispatched_[index];
  dispatched.finished = true;
  dispatched.failed = !world_.rank(rank_).finish(*dispatched.operation);
  outcomes_.note_dispatch(index, *dispatched.operation, !dispatched.failed);
  if (dispatched.failed) {
    return;
  }
  check_dispatch(world_,
                 plan_.dispatches[index],
                 naive_,
                 static_cast<int>(index),
                 *dispatched.operation,
                 {dispatched.rows.get(), dispatched.scales.get()});
}

void RankProgram::finish_combine(std::size_t index) {
  const CombinePlan& plan = plan_.combines[index];
  Combined& combined = combined_[index];
  Dispatched& dispatched = dispatched_[static_cast<std::size_t>(plan.dispatch)];
  combined.finished = true;
  combined.failed = !world_.rank(rank_).finish(*combined.operation);
  --dispatched.combines_left;
  if (plan.expert_rows[static_cast<std::size_t>(rank_)] == ExpertRows::kOverLandedRows) {
    dispatched.rows_in_use = false;
  }
  outcomes_.note_combine(index, *combined.operation, !combined.failed);
  if (combined.failed) {
    return;
  }
  check_combine(
      world_, plan, naive_, static_cast<int>(index), *combined.operation, {combined.out.get()});
}

void RankProgram::release_combine(Combined& combined) {
  WorldRank& rank = world_.rank(rank_);
  if (combined.expert_region != protocol::kNoRegion) {
    rank.release(combined.expert_region);
  }
  if (!combined.failed && combined.operation->out_region != protocol::kNoRegion) {
    rank.release(combined.operation->out_region);
  }
  combined.released = true;
}

}  // namespace switchyard::sim
