#include "benchmarks/sim/exchange_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace switchyard::sim {
namespace {

using protocol::Progress;

/// Idle turns before a look at everything; a run that needs more turns than kMaxSteps never ends.
constexpr int kPatience = 300;
constexpr std::uint64_t kMaxSteps = 2'000'000;

int draw_pace(std::mt19937_64& random) {
  constexpr int kPaces[] = {1, 4, 4, 16, 64};
  return kPaces[random() % std::size(kPaces)];
}

}  // namespace

ExchangeRun::ExchangeRun(const ExchangePlan& plan, const WorldOptions& options)
    : plan_(plan), world_(options), naive_(plan), outcomes_(plan), random_(options.seed) {
  for (int rank = 0; rank < plan.num_ranks; ++rank) {
    paces_.push_back(
        {draw_pace(random_), draw_pace(random_), draw_pace(random_), draw_pace(random_)});
    programs_.emplace_back(plan, naive_, outcomes_, world_, rank);
  }
}

void ExchangeRun::run() {
  const auto all_done = [&] {
    return std::all_of(
        programs_.begin(), programs_.end(), [](const RankProgram& each) { return each.done(); });
  };
  int idle = 0;
  while (!all_done()) {
    idle = act() ? 0 : idle + 1;
    if (idle > kPatience && !sweep()) {
      throw ModelViolation("nobody can go on:\n" + describe_waits());
    }
    if (++num_steps_ > kMaxSteps) {
      throw ModelViolation("no end after " + std::to_string(num_steps_) + " turns");
    }
  }
  world_.memory().publish_all();
  check_nothing_is_lost();
}

/// One turn of one rank: true when something changed.
bool ExchangeRun::act() {
  const int total = std::accumulate(
      paces_.begin(), paces_.end(), 0, [](int sum, const auto& pace) { return sum + pace.rank; });
  auto pick = static_cast<int>(random_() % static_cast<std::uint64_t>(total));
  int rank = 0;
  while (pick >= paces_[static_cast<std::size_t>(rank)].rank) {
    pick -= paces_[static_cast<std::size_t>(rank)].rank;
    ++rank;
  }
  const RankPace& pace = paces_[static_cast<std::size_t>(rank)];
  pick = static_cast<int>(random_() %
                          static_cast<std::uint64_t>(pace.roles + pace.stores + pace.caller));
  if (pick < pace.roles) {
    return step_role(world_.rank(rank));
  }
  if (pick < pace.roles + pace.stores) {
    return world_.memory().publish_one(rank);
  }
  return programs_[static_cast<std::size_t>(rank)].step(random_);
}

int ExchangeRun::role_pace(int warp) {
  while (role_paces_.size() <= static_cast<std::size_t>(warp)) {
    role_paces_.push_back(draw_pace(random_));
  }
  return role_paces_[static_cast<std::size_t>(warp)];
}

bool ExchangeRun::step_role(WorldRank& rank) {
  int total = 0;
  for (RunningOperation& running : rank.running()) {
    for (const auto& role : running.roles) {
      total += role->done() ? 0 : role_pace(role->warp());
    }
  }
  if (total == 0) {
    return false;
  }
  auto pick = static_cast<int>(random_() % static_cast<std::uint64_t>(total));
  for (RunningOperation& running : rank.running()) {
    for (const auto& role : running.roles) {
      if (role->done()) {
        continue;
      }
      pick -= role_pace(role->warp());
      if (pick < 0) {
        return role->step() != Progress::kBlocked;
      }
    }
  }
  return false;
}

/// Gives everybody a turn and publishes everything: false when that changed nothing.
bool ExchangeRun::sweep() {
  bool changed = false;
  for (int rank = 0; rank < plan_.num_ranks; ++rank) {
    while (world_.memory().publish_one(rank)) {
      changed = true;
    }
  }
  for (int rank = 0; rank < plan_.num_ranks; ++rank) {
    for (RunningOperation& running : world_.rank(rank).running()) {
      for (const auto& role : running.roles) {
        changed = (!role->done() && role->step() != Progress::kBlocked) || changed;
      }
    }
    changed = programs_[static_cast<std::size_t>(rank)].step(random_) || changed;
  }
  return changed;
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

WorldOptions world_options(const ExchangePlan& plan, std::uint64_t seed) {
  WorldOptions options;
  options.num_ranks = plan.num_ranks;
  options.num_channels = plan.num_channels;
  options.max_in_flight = plan.max_in_flight;
  options.chunk_tokens = plan.chunk_tokens;
  options.expert_copies = plan.expert_copies;
  options.seed = seed;
  return options;
}

}  // namespace switchyard::sim
