#include "benchmarks/sim/fault_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "benchmarks/sim/naive_exchange.h"
#include "switchyard/error.h"

namespace switchyard::sim {
namespace {

using protocol::RoleKind;
using protocol::WaitKind;
using targets::Fault;

auto fields(const Fault& fault) {
  const protocol::WaitPoint& wait = fault.wait;
  return std::tuple(fault.cause,
                    fault.reporter,
                    fault.role,
                    wait.kind,
                    wait.peer,
                    wait.channel,
                    wait.expected,
                    wait.seen,
                    fault.epoch);
}

bool same(const Fault& a, const Fault& b) {
  return fields(a) == fields(b);
}

/// A fault as a broken group would report it: what the judge must not let pass.
Fault distorted(Fault fault, FaultPlan::Control control) {
  if (control == FaultPlan::Control::kNamesAnotherStep) {
    fault.wait.kind = fault.wait.kind == WaitKind::kConsumers
                          ? WaitKind::kCounts
                          : static_cast<WaitKind>(static_cast<int>(fault.wait.kind) + 1);
  } else if (control == FaultPlan::Control::kNamesAnotherOperation) {
    ++fault.epoch;
  }
  return fault;
}

}  // namespace

std::string FaultJudge::describe(const Fault& fault) const {
  return fmt::format("{}: rank {}'s {} waited for {} from rank {} in operation {:#x}",
                     error_code_name(fault.cause),
                     fault.reporter,
                     protocol::role_name(fault.role),
                     protocol::wait_name(fault.wait.kind),
                     fault.wait.peer,
                     fault.epoch);
}

void FaultJudge::check_raised(const Fault& fault) const {
  if (fault.wait.kind == WaitKind::kNothing) {
    return;  // damage: there is no step, but a peer
  }
  for (RunningOperation& running : run_.world.rank(fault.reporter).running()) {
    for (const auto& role : running.roles) {
      const protocol::WaitPoint& wait = role->wait();
      if (running.operation->epoch == fault.epoch && !role->done() && role->kind() == fault.role &&
          wait.kind == fault.wait.kind && wait.peer == fault.wait.peer &&
          wait.channel == fault.wait.channel) {
        return;
      }
    }
  }
  throw ModelViolation("raised is a step at which nobody stands: " + describe(fault));
}

/// Also ranks that had finished by then, and those that raised a fault of their own, must hold the
/// same record.
void FaultJudge::check_group(const GroupWatch& watch, const std::vector<RankEnd>& ends) const {
  std::optional<Fault> of_group;
  for (int rank = 0; rank < run_.plan.num_ranks; ++rank) {
    const std::optional<Fault>& fault = watch.fault_at(rank);
    const RankEnd end = ends[static_cast<std::size_t>(rank)];
    if (!fault && (end == RankEnd::kFaulted || end == RankEnd::kGaveUp)) {
      throw ModelViolation(fmt::format("rank {} ended, and was never told why", rank));
    }
    if (fault && of_group && !same(*fault, *of_group)) {
      throw ModelViolation(fmt::format(
          "rank {} says {}; others say {}", rank, describe(*fault), describe(*of_group)));
    }
    of_group = fault ? fault : of_group;
  }
  if (!of_group) {
    return;
  }
  const Fault fault = distorted(*of_group, run_.faults.control);
  if (std::none_of(watch.raised().begin(), watch.raised().end(), [&](const Fault& each) {
        return same(each, fault);
      })) {
    throw ModelViolation("the group says what nobody raised: " + describe(fault));
  }
  if (run_.world.network().num_lost() != 0 && fault.cause == ErrorCode::kTimeout &&
      step_of(fault)) {
    return;  // a message that is lost stops its track for good, whoever waits for it
  }
  const std::string no_loss = why_not_loss(fault, ends);
  const std::string no_damage = why_not_damage(fault, ends);
  if (!no_loss.empty() && !no_damage.empty()) {
    throw ModelViolation(fmt::format(
        "the group says {}, which nothing explains: {}; {}", describe(fault), no_loss, no_damage));
  }
}

/// Why the loss of the victim does not explain the fault; empty: it does.
std::string FaultJudge::why_not_loss(const Fault& fault, const std::vector<RankEnd>& ends) const {
  const FaultPlan& faults = run_.faults;
  if (faults.victim < 0 || ends[static_cast<std::size_t>(faults.victim)] != RankEnd::kLost) {
    return "nobody was lost";
  }
  const int blamed =
      faults.victim + (faults.control == FaultPlan::Control::kNamesAnotherRank ? 1 : 0);
  if (faults.loss == FaultPlan::Loss::kAborts) {
    const bool right = fault.cause == ErrorCode::kInternal && fault.reporter == blamed;
    return right ? "" : fmt::format("rank {} aborted", blamed);
  }
  const bool dead = faults.loss == FaultPlan::Loss::kDead;
  if (fault.cause != (dead ? ErrorCode::kPeerLost : ErrorCode::kTimeout) ||
      fault.wait.peer != blamed) {
    return fmt::format("rank {} {}", blamed, dead ? "died" : "stopped");
  }
  return why_not_owed(fault);
}

/// Why the flipped bit does not explain the fault; empty: it does.
std::string FaultJudge::why_not_damage(const Fault& fault, const std::vector<RankEnd>& ends) const {
  const std::optional<BitFlip::Hit>& hit = run_.flip.hit();
  if (!hit) {
    return "nothing was damaged";
  }
  const int owner = run_.world.heaps().rank_of(hit->at);
  const std::string what = fmt::format("what rank {} wrote to rank {} was damaged, {}",
                                       hit->writer,
                                       owner,
                                       run_.world.heaps().name(hit->at));
  // With several nodes whoever stands for a rank writes in its name, and what is damaged may go on to
  // another node before anybody reads it.
  const bool across = run_.plan.num_nodes > 1;
  const int ranks_per_node = run_.plan.num_ranks / run_.plan.num_nodes;
  const bool of_writer = fault.wait.peer % ranks_per_node == hit->writer % ranks_per_node;
  if (across && fault.cause == ErrorCode::kTimeout) {
    return "";
  }
  if ((fault.reporter != owner && !across) || !of_writer) {
    return what;
  }
  if (fault.cause == ErrorCode::kInternal) {
    const auto reporter = static_cast<std::size_t>(fault.reporter);
    const bool gave_up = ends[reporter] == RankEnd::kGaveUp;
    const bool meant = run_.programs[reporter].operation_of(fault.epoch) != std::nullopt;
    return gave_up && meant ? "" : what + ", but nobody said so of this operation";
  }
  const std::optional<Step> step = step_of(fault);
  return fault.cause == ErrorCode::kTimeout && step && is_damaged(fault, *step) ? "" : what;
}

/// Waited for in vain is a word with a damaged tag, or a permit with a damaged signature; or the
/// hello that would have said that no permit comes.
bool FaultJudge::is_damaged(const Fault& fault, const Step& step) const {
  const auto within = [&](std::uint64_t mailbox, std::uint32_t num_words) {
    const std::byte* first = run_.world.heaps().peers(fault.reporter).local(mailbox);
    const std::byte* at = run_.flip.hit()->at;
    return at >= first && at < first + num_words * sizeof(protocol::Word);
  };
  const protocol::ControlLayout& control = run_.world.heaps().control();
  const bool in_refusal =
      fault.wait.kind == WaitKind::kPermit &&
      within(control.hello(slot_of(fault), fault.wait.peer), protocol::kNumHeadWords);
  return in_refusal || within(step.mailbox, step.num_words);
}

std::uint32_t FaultJudge::tag_of(const Fault& fault) const {
  return protocol::epoch_tag(fault.epoch, run_.world.heaps().control().num_slots);
}

std::uint32_t FaultJudge::slot_of(const Fault& fault) const {
  return tag_of(fault) % run_.world.heaps().control().num_slots;
}

/// Why the peer of a wait did not owe what was waited for; empty: it did.
std::string FaultJudge::why_not_owed(const Fault& fault) const {
  const std::optional<Step> step = step_of(fault);
  if (!step) {
    return "no role of that rank and operation waits so for that peer";
  }
  if (step->num_words == 0) {
    return "";
  }
  const auto* words = reinterpret_cast<const protocol::Word*>(
      run_.world.heaps().peers(fault.reporter).local(step->mailbox));
  const std::uint32_t tag = tag_of(fault);
  const bool has_come = std::all_of(words, words + step->num_words, [tag](protocol::Word word) {
    return protocol::word_tag(word) == tag;
  });
  return has_come ? "it had come" : "";
}

/// The step that a fault names, if there is one in an operation that the reporter issued.
std::optional<FaultJudge::Step> FaultJudge::step_of(const Fault& fault) const {
  if (fault.reporter < 0 || fault.wait.peer < 0) {
    return std::nullopt;
  }
  const auto operation =
      run_.programs[static_cast<std::size_t>(fault.reporter)].operation_of(fault.epoch);
  if (!operation) {
    return std::nullopt;
  }
  if (run_.plan.num_nodes > 1) {
    return step_between_nodes(fault, operation->is_dispatch);
  }
  const Step step = operation->is_dispatch ? step_of_dispatch(fault, operation->index)
                                           : step_of_combine(fault, operation->index);
  return step.fits && step.role == fault.role ? std::optional(step) : std::nullopt;
}

/// With several nodes a rank also waits for what others relay or forward, so that no one word of the
/// peer's tells what it owed; that the reporter stands at the step was seen when it was raised.
std::optional<FaultJudge::Step> FaultJudge::step_between_nodes(const Fault& fault,
                                                               bool is_dispatch) const {
  const bool is_relay = fault.role == RoleKind::kNodeRelay;
  bool fits = false;
  switch (fault.wait.kind) {
    case WaitKind::kNodeHello:
      fits = is_relay;
      break;
    case WaitKind::kCounts:
    case WaitKind::kVerdict:
    case WaitKind::kPermit:
      fits = is_dispatch && fault.role == RoleKind::kCountExchange;
      break;
    case WaitKind::kAnswer:
      fits = is_dispatch && (is_relay || fault.role == RoleKind::kCountExchange);
      break;
    case WaitKind::kRows:
      fits = is_dispatch && fault.role == RoleKind::kScaleUpReceive;
      break;
    case WaitKind::kAnnounce:
    case WaitKind::kConsumers:
      fits = !is_dispatch && fault.role == RoleKind::kCombineAnnounce;
      break;
    case WaitKind::kPackets:
      fits = fault.role == (is_dispatch ? RoleKind::kForward : RoleKind::kForwardAccumulate);
      break;
    case WaitKind::kCredit:
      fits = fault.role == RoleKind::kScaleOutSend ||
             (!is_dispatch && fault.role == RoleKind::kForwardAccumulate);
      break;
    case WaitKind::kSums:
      fits = !is_dispatch && fault.role == RoleKind::kReceiveAccumulate;
      break;
    default:
      break;
  }
  return fits ? std::optional(Step{fault.role, true}) : std::nullopt;
}

FaultJudge::Step FaultJudge::step_of_dispatch(const Fault& fault, int index) const {
  const DispatchPlan& plan = run_.plan.dispatches[static_cast<std::size_t>(index)];
  const protocol::ControlLayout& control = run_.world.heaps().control();
  const std::uint32_t slot = slot_of(fault);
  const int peer = fault.wait.peer;
  const bool padded = plan.layout == Layout::kPadded;
  const auto experts = static_cast<std::uint32_t>(plan.num_experts / run_.plan.num_ranks);
  const bool per_expert = plan.layout == Layout::kExpertMajor;
  const bool along_handle = plan.follows >= 0 && !padded;
  switch (fault.wait.kind) {
    case WaitKind::kCounts:
      return {RoleKind::kCountExchange,
              !along_handle,
              control.hello(slot, peer),
              protocol::kFirstCountWord + experts + 1};
    case WaitKind::kAnswer:
      return {RoleKind::kCountExchange,
              !padded,
              along_handle ? control.hello(slot, peer) : control.answer(slot, peer),
              protocol::kFirstBaseWord +
                  (along_handle ? 0
                   : per_expert ? experts
                                : 1) +
                  1};
    case WaitKind::kPermit:
      return {RoleKind::kCountExchange,
              padded && sends_rows(index, fault.reporter, peer),
              control.permit(slot, peer),
              protocol::kPermitCheckWord + 1};
    case WaitKind::kRows:
      return {RoleKind::kScaleUpReceive,
              sends_rows(index, peer, fault.reporter),
              control.progress(slot, peer, 0),
              control.num_channels};
    default:
      return {RoleKind::kCountExchange, false};
  }
}

FaultJudge::Step FaultJudge::step_of_combine(const Fault& fault, int index) const {
  const CombinePlan& plan = run_.plan.combines[static_cast<std::size_t>(index)];
  const protocol::ControlLayout& control = run_.world.heaps().control();
  const std::uint32_t slot = slot_of(fault);
  const int peer = fault.wait.peer;
  switch (fault.wait.kind) {
    case WaitKind::kAnnounce:
      return {RoleKind::kCombineAnnounce,
              true,
              control.hello(slot, peer),
              protocol::kNumAnnounceWords + 1};
    case WaitKind::kConsumers:
      return {RoleKind::kCombineAnnounce,
              sends_rows(plan.dispatch, peer, fault.reporter),
              control.progress(slot, peer, 0),
              control.num_channels};
    default:
      return {RoleKind::kCombineAnnounce, false};
  }
}

bool FaultJudge::sends_rows(int dispatch, int from, int to) const {
  const NaiveLanding landing = land(run_.plan.dispatches[static_cast<std::size_t>(dispatch)], to);
  return landing.rows_from_rank[static_cast<std::size_t>(from)] != 0;
}

}  // namespace switchyard::sim
