#include "benchmarks/sim/exchange_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "switchyard/error.h"

namespace switchyard::sim {
namespace {

using protocol::Progress;

/// Idle turns before a look at everything; a run that needs more turns than kMaxSteps never ends.
constexpr int kPatience = 300;
constexpr std::uint64_t kMaxSteps = 2'000'000;
/// Virtual time of one turn. Runs of kMaxSteps end before their deadline.
constexpr std::uint64_t kTurnNs = 1'000;
static_assert(kMaxSteps * kTurnNs < ExchangeRun::kTimeoutNs);

int draw_pace(std::mt19937_64& random) {
  constexpr int kPaces[] = {1, 4, 4, 16, 64};
  return kPaces[random() % std::size(kPaces)];
}

}  // namespace

ExchangeRun::ExchangeRun(const ExchangePlan& plan, WorldOptions options, const FaultPlan& faults)
    : plan_(plan),
      faults_(faults),
      flip_(faults),
      world_(prepare(std::move(options))),
      watch_(plan.num_ranks, kTimeoutNs, clock_),
      naive_(plan),
      outcomes_(plan, faults.heap_bytes != 0),
      random_(world_.options().seed),
      ends_(static_cast<std::size_t>(plan.num_ranks), RankEnd::kActing),
      judge_({plan_, faults_, flip_, programs_, world_}) {
  if (faults.control == FaultPlan::Control::kNobodyDecides) {
    watch_.let_nobody_decide();
  }
  network_pace_ = plan.num_nodes == 1 ? 0 : draw_pace(random_);
  for (int rank = 0; rank < plan.num_ranks; ++rank) {
    RankPace pace{draw_pace(random_), draw_pace(random_), draw_pace(random_), draw_pace(random_)};
    if (faults.slow_rank >= 0) {
      pace.rank = rank == faults.slow_rank ? 1 : 64;
    }
    if (faults.delayed) {
      pace.stores = 1;
      pace.roles = 64;
    }
    paces_.push_back(pace);
    programs_.emplace_back(plan, naive_, outcomes_, world_, rank);
  }
}

WorldOptions ExchangeRun::prepare(WorldOptions options) {
  options.memory.clock = &clock_;
  options.memory.in_order = options.memory.in_order || faults_.in_order;
  if (faults_.flips) {
    options.memory.faults = &flip_;
  }
  options.network.lose = std::max(options.network.lose, faults_.lose);
  options.network.duplicate = std::max(options.network.duplicate, faults_.duplicate);
  if (faults_.heap_bytes != 0) {
    options.heap_bytes = World::control_of(options).block_bytes() + faults_.heap_bytes;
  }
  if (faults_.first_epoch != 1) {
    options.first_epoch = faults_.first_epoch;
  }
  return options;
}

void ExchangeRun::run() {
  const auto somebody_acts = [&] {
    return std::find(ends_.begin(), ends_.end(), RankEnd::kActing) != ends_.end();
  };
  int idle = 0;
  while (somebody_acts()) {
    clock_.advance(kTurnNs);
    idle = act() ? 0 : idle + 1;
    if (idle == 0) {
      last_progress_ns_ = clock_.now_ns();
    }
    if (idle > kPatience && !sweep() && !let_time_pass()) {
      throw ModelViolation("nobody can go on:\n" + describe_waits());
    }
    if (++num_steps_ > kMaxSteps) {
      throw ModelViolation("no end after " + std::to_string(num_steps_) + " turns");
    }
  }
  world_.memory().publish_all();
  while (watch_.write_one(random_)) {
  }
  if (std::all_of(
          ends_.begin(), ends_.end(), [](RankEnd end) { return end == RankEnd::kFinished; })) {
    check_nothing_is_lost();
  }
  if (faults_.may_fail()) {
    check_faults();
  }
}

/// One turn of one rank: true when something changed.
bool ExchangeRun::act() {
  const int rank = pick_rank();
  const bool is_victim = rank == faults_.victim && is_acting(rank);
  if (is_victim && victim_turns_ == faults_.loss_at) {
    lose_victim();
    return true;
  }
  if (plan_.num_nodes > 1 && random_() % static_cast<std::uint64_t>(network_pace_ + 16) <
                                 static_cast<std::uint64_t>(network_pace_)) {
    return world_.network().deliver_one();
  }
  if (faults_.may_fail() && random_() % 16 == 0) {
    return random_() % 2 == 0 ? watch_.write_one(random_) || look_at_peers(rank)
                              : look_at_peers(rank) || watch_.write_one(random_);
  }
  const bool changed = act_as(rank);
  victim_turns_ += is_victim && changed ? 1 : 0;
  return changed;
}

int ExchangeRun::pick_rank() {
  const int total = std::accumulate(
      paces_.begin(), paces_.end(), 0, [](int sum, const auto& pace) { return sum + pace.rank; });
  auto pick = static_cast<int>(random_() % static_cast<std::uint64_t>(total));
  int rank = 0;
  while (pick >= paces_[static_cast<std::size_t>(rank)].rank) {
    pick -= paces_[static_cast<std::size_t>(rank)].rank;
    ++rank;
  }
  return rank;
}

bool ExchangeRun::act_as(int rank) {
  if (!is_acting(rank)) {
    return world_.memory().publish_one(rank);
  }
  if (watch_.fault_at(rank)) {
    end_rank(rank, RankEnd::kFaulted);
    return true;
  }
  const RankPace& pace = paces_[static_cast<std::size_t>(rank)];
  const auto pick = static_cast<int>(
      random_() % static_cast<std::uint64_t>(pace.roles + pace.stores + pace.caller));
  if (pick < pace.roles) {
    return step_one_role(rank);
  }
  return pick < pace.roles + pace.stores ? world_.memory().publish_one(rank) : step_program(rank);
}

int ExchangeRun::role_pace(int warp) {
  while (role_paces_.size() <= static_cast<std::size_t>(warp)) {
    role_paces_.push_back(draw_pace(random_));
  }
  return role_paces_[static_cast<std::size_t>(warp)];
}

bool ExchangeRun::step_one_role(int rank) {
  int total = 0;
  for (RunningOperation& running : world_.rank(rank).running()) {
    for (const auto& role : running.roles) {
      total += role->done() ? 0 : role_pace(role->warp());
    }
  }
  if (total == 0) {
    return false;
  }
  auto pick = static_cast<int>(random_() % static_cast<std::uint64_t>(total));
  for (RunningOperation& running : world_.rank(rank).running()) {
    for (const auto& role : running.roles) {
      if (role->done()) {
        continue;
      }
      pick -= role_pace(role->warp());
      if (pick < 0) {
        return step_role(*role, rank);
      }
    }
  }
  return false;
}

bool ExchangeRun::step_role(SimRole& role, int rank) {
  const bool advanced = role.step() != Progress::kBlocked;
  if (advanced) {
    watch_.progressed(rank);
  }
  return advanced;
}

/// Where a bit flips, an operation may fail on the damage, and as on the host target that is the
/// group's fault; whatever else is wrong was not noticed.
bool ExchangeRun::step_program(int rank) {
  bool advanced = true;
  try {
    advanced = programs_[static_cast<std::size_t>(rank)].step(random_);
  } catch (const OperationFailed& failed) {
    if (!faults_.flips || !failed.fault) {
      throw;
    }
    watch_.raise(rank, *failed.fault);
    end_rank(rank, RankEnd::kGaveUp);
  }
  if (advanced) {
    watch_.progressed(rank);
  }
  if (is_acting(rank) && programs_[static_cast<std::size_t>(rank)].done()) {
    end_rank(rank, RankEnd::kFinished);
  }
  return advanced;
}

/// Gives everybody a turn and publishes everything: false when that changed nothing.
bool ExchangeRun::sweep() {
  bool changed = false;
  for (int rank = 0; rank < plan_.num_ranks; ++rank) {
    while (world_.memory().publish_one(rank)) {
      changed = true;
    }
  }
  while (world_.network().deliver_one()) {
    changed = true;
  }
  for (int rank = 0; rank < plan_.num_ranks; ++rank) {
    if (!is_acting(rank)) {
      continue;
    }
    for (RunningOperation& running : world_.rank(rank).running()) {
      for (const auto& role : running.roles) {
        changed = (!role->done() && step_role(*role, rank)) || changed;
      }
    }
    changed = step_program(rank) || changed;
  }
  return changed;
}

/// Nobody can go on before a fault arrives, a death is noticed or a deadline passes. False when
/// none of these will.
bool ExchangeRun::let_time_pass() {
  if (!faults_.may_fail()) {
    return false;
  }
  if (watch_.write_one(random_)) {
    return true;
  }
  std::vector<int> waiting;
  for (int rank = 0; rank < plan_.num_ranks; ++rank) {
    if (is_acting(rank)) {
      if (watch_.fault_at(rank)) {
        end_rank(rank, RankEnd::kFaulted);
        return true;
      }
      if (look_at_peers(rank)) {
        return true;
      }
      waiting.push_back(rank);
    }
  }
  std::sort(waiting.begin(), waiting.end(), [&](int a, int b) {
    return watch_.deadline_ns(a) < watch_.deadline_ns(b);
  });
  for (const int rank : waiting) {
    const std::uint64_t deadline = watch_.deadline_ns(rank);
    clock_.advance(std::max(deadline, clock_.now_ns()) - clock_.now_ns());
    if (look_at_peers(rank)) {
      return true;
    }
  }
  return false;
}

bool ExchangeRun::look_at_peers(int rank) {
  if (!is_acting(rank)) {
    return false;
  }
  bool waits_for_peer = false;
  for (RunningOperation& running : world_.rank(rank).running()) {
    for (const auto& role : running.roles) {
      const auto waits = [this](int other) { return wait_of(other); };
      const std::size_t num_raised = watch_.raised().size();
      waits_for_peer = waits_for_peer || (!role->done() && role->wait().peer >= 0);
      if (watch_.look(rank, *role, running.operation->epoch, waits)) {
        if (watch_.raised().size() != num_raised) {
          judge_.check_raised(watch_.raised().back());
        }
        return true;
      }
    }
  }
  return !waits_for_peer && look_at_itself(rank);
}

/// Roles of a rank that wait for each other, and for nobody else, wait in vain: past the deadline the
/// rank blames itself.
bool ExchangeRun::look_at_itself(int rank) {
  if (!watch_.expired(rank)) {
    return false;
  }
  const SimRole* first = nullptr;
  std::uint64_t epoch = 0;
  for (RunningOperation& running : world_.rank(rank).running()) {
    for (const auto& role : running.roles) {
      if (role->done()) {
        continue;
      }
      if (step_role(*role, rank)) {
        return true;
      }
      if (role->wait().peer >= 0) {
        return false;
      }
      epoch = first == nullptr ? running.operation->epoch : epoch;
      first = first == nullptr ? role.get() : first;
    }
  }
  if (first != nullptr) {
    protocol::WaitPoint wait = first->wait();
    wait.peer = rank;
    watch_.raise(rank, {ErrorCode::kTimeout, rank, first->kind(), wait, epoch});
  }
  return first != nullptr;
}

/// What the board of a rank says that looks on: its oldest wait for a peer.
protocol::Word ExchangeRun::wait_of(int rank) {
  if (!is_acting(rank)) {
    return 0;
  }
  for (RunningOperation& running : world_.rank(rank).running()) {
    for (const auto& role : running.roles) {
      const protocol::WaitPoint& wait = role->wait();
      if (!role->done() && wait.peer >= 0) {
        return protocol::make_wait(running.operation->epoch, wait, role->kind());
      }
    }
  }
  return 0;
}

/// A process that ends leaves behind some of the stores that were on their way; one that only stops
/// leaves all.
void ExchangeRun::lose_victim() {
  const int victim = faults_.victim;
  WeakMemory& memory = world_.memory();
  if (faults_.loss == FaultPlan::Loss::kAborts) {
    abort_victim();
  } else {
    watch_.lose(victim, faults_.loss == FaultPlan::Loss::kDead);
  }
  if (faults_.loss == FaultPlan::Loss::kDead) {
    const std::size_t held_back = memory.num_held_back(victim);
    for (std::size_t i = held_back == 0 ? 0 : random_() % (held_back + 1); i > 0; --i) {
      memory.publish_one(victim);
    }
    memory.drop_held_back(victim);
  }
  end_rank(victim, RankEnd::kLost);
}

/// One of the victim's roles, picked by chance, meets a broken invariant; its caller does, where
/// none runs.
void ExchangeRun::abort_victim() {
  targets::Fault fault;
  fault.reporter = faults_.victim;
  std::uint64_t num_roles = 0;
  for (RunningOperation& running : world_.rank(faults_.victim).running()) {
    for (const auto& role : running.roles) {
      if (!role->done() && random_() % ++num_roles == 0) {
        fault.role = role->kind();
        fault.wait = role->wait();
        fault.epoch = running.operation->epoch;
      }
    }
  }
  watch_.raise(faults_.victim, fault);
}

void ExchangeRun::end_rank(int rank, RankEnd end) {
  ends_[static_cast<std::size_t>(rank)] = end;
  if (end != RankEnd::kFinished) {
    for (RunningOperation& running : world_.rank(rank).running()) {
      for (const auto& role : running.roles) {
        role->drop();
      }
    }
  }
}

/// Whatever operations took is given back, but for what padded dispatches keep for the next one.
void ExchangeRun::check_nothing_is_lost() {
  for (int rank = 0; rank < plan_.num_ranks; ++rank) {
    const std::size_t regions = world_.heaps().num_regions(rank);
    const std::size_t kept = world_.rank(rank).num_kept_regions();
    if (regions != kept) {
      throw ModelViolation(fmt::format(
          "rank {} still has {} regions at the end, of which {} are kept", rank, regions, kept));
    }
  }
}

/// Every rank that learned of a fault must tell of the same, rightly, and no later than its deadline
/// allows.
void ExchangeRun::check_faults() {
  judge_.check_group(watch_, ends_);
  const std::uint64_t limit = last_progress_ns_ + kTimeoutNs + kPatience * kTurnNs * 16;
  if (clock_.now_ns() > limit) {
    throw ModelViolation(
        fmt::format("the last rank ended at {} ns, later than {} ns", clock_.now_ns(), limit));
  }
}

std::string ExchangeRun::describe_waits() {
  std::string text;
  for (int rank = 0; rank < plan_.num_ranks; ++rank) {
    for (RunningOperation& running : world_.rank(rank).running()) {
      for (const auto& role : running.roles) {
        if (!role->done()) {
          const protocol::WaitPoint& wait = role->wait();
          text += fmt::format("  {} waits for {} from rank {} (wanted {:#x}, saw {:#x})\n",
                              role->name(),
                              protocol::wait_name(wait.kind),
                              wait.peer,
                              wait.expected,
                              wait.seen);
        }
      }
    }
  }
  return text;
}

namespace {

/// The largest packet or sum of a plan.
std::uint64_t largest_packet(const ExchangePlan& plan) {
  std::uint64_t bytes = 0;
  for (const DispatchPlan& each : plan.dispatches) {
    const auto topk = static_cast<std::uint32_t>(each.topk);
    const auto scales = protocol::round_up(static_cast<std::uint64_t>(each.scale_words()) * 4,
                                           protocol::kPartAlignment);
    const protocol::RailPacketLayout packet{static_cast<std::uint32_t>(each.landed_row_bytes()),
                                            static_cast<std::uint32_t>(scales),
                                            topk};
    // Sums are at most fp32.
    const protocol::RailSumLayout sum{static_cast<std::uint32_t>(each.hidden) * 4, topk};
    bytes =
        std::max({bytes, std::uint64_t{packet.packet_bytes()}, std::uint64_t{sum.packet_bytes()}});
  }
  return bytes;
}

/// Tracks with room for one packet or a few, and a way to the network that is short or long.
void draw_rails(WorldOptions& options, const ExchangePlan& plan, std::uint64_t seed) {
  std::mt19937_64 random(seed ^ 0x7ac5U);
  options.num_nodes = plan.num_nodes;
  const std::uint64_t packets = 1 + random() % 4;
  options.track_bytes = packets * largest_packet(plan) + random() % 4 * protocol::kPartAlignment;
  options.chunk_packets = static_cast<int>(1 + random() % 3);
  options.network.max_messages = random() % 2 == 0 ? 0 : 2 + random() % 4;
}

}  // namespace

WorldOptions world_options(const ExchangePlan& plan, std::uint64_t seed) {
  WorldOptions options;
  options.num_ranks = plan.num_ranks;
  options.num_channels = plan.num_channels;
  options.max_experts = std::max(options.max_experts, 3 * plan.num_ranks);  // as plans draw them
  options.max_in_flight = plan.max_in_flight;
  options.chunk_tokens = plan.chunk_tokens;
  options.expert_copies = plan.expert_copies;
  options.seed = seed;
  if (plan.num_nodes > 1) {
    draw_rails(options, plan, seed);
  }
  return options;
}

}  // namespace switchyard::sim
