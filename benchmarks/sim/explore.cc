#include "benchmarks/sim/explore.h"

#include <fmt/format.h>

#include <exception>
#include <random>

#include "benchmarks/sim/exchange_run.h"
#include "benchmarks/sim/naive_exchange.h"
#include "benchmarks/sim/rank_program.h"
#include "benchmarks/sim/world.h"

namespace switchyard::sim {
namespace {

constexpr std::size_t kTraceLines = 60;

std::vector<SimRole*> roles_at_work(World& world, int num_ranks) {
  std::vector<SimRole*> roles;
  for (int rank = 0; rank < num_ranks; ++rank) {
    for (RunningOperation& running : world.rank(rank).running()) {
      for (const auto& role : running.roles) {
        if (!role->done()) {
          roles.push_back(role.get());
        }
      }
    }
  }
  return roles;
}

/// The callers of all ranks; their moments are not explored.
class Callers {
 public:
  Callers(const ExchangePlan& plan, World& world)
      : world_(world), naive_(plan), ends_(plan, false) {
    for (int rank = 0; rank < plan.num_ranks; ++rank) {
      programs_.emplace_back(plan, naive_, ends_, world, rank);
    }
  }

  /// Every rank issues its next operation.
  void issue() {
    for (std::size_t rank = 0; rank < programs_.size(); ++rank) {
      while (world_.rank(static_cast<int>(rank)).running().empty() &&
             programs_[rank].step(random_)) {
      }
    }
  }
  /// Every rank finishes, checks and releases what it can.
  void finish() {
    for (std::size_t rank = 0; rank < programs_.size(); ++rank) {
      while (!world_.rank(static_cast<int>(rank)).running().empty()) {
        if (!programs_[rank].step(random_)) {
          throw ModelViolation("an operation has ended and its caller cannot finish it");
        }
      }
    }
  }

 private:
  World& world_;
  NaiveExchange naive_;
  Outcomes ends_;
  std::mt19937_64 random_{1};
  std::vector<RankProgram> programs_;
};

}  // namespace

Exploration Explorer::explore() {
  do {
    run_once();
    if (!result_.problem.empty() || result_.num_steps > options_.max_steps) {
      break;
    }
    result_.complete = !go_back();
  } while (!result_.complete);
  result_.complete = result_.complete && result_.problem.empty();
  result_.num_states = states_.size();
  return result_;
}

void Explorer::run_once() {
  WorldOptions options = world_options(plan_, 1);
  options.max_experts = 4;
  options.heap_bytes = std::uint64_t{1} << 17U;
  options.memory.chooser = this;
  options.memory.weakened_site = options_.weaken;
  depth_ = 0;
  exploring_ = false;
  World world(options);
  try {
    Callers callers(plan_, world);
    for (std::size_t i = 0; i + 1 < plan_.operations.size(); ++i) {
      callers.issue();
      world.run_until_blocked();
      callers.finish();
    }
    callers.issue();
    exploring_ = true;
    for (;;) {
      std::vector<SimRole*> roles = roles_at_work(world, plan_.num_ranks);
      if (roles.empty()) {
        break;
      }
      if (depth_ == decisions_.size() && !states_.insert(digest(world)).second) {
        return;
      }
      if (!step_chosen(roles)) {
        return;
      }
    }
    exploring_ = false;
    world.memory().publish_all();
    callers.finish();
    ++result_.num_ends;
  } catch (const std::exception& error) {
    result_.problem = fmt::format("{}\n{}", error.what(), world.memory().trace_text(kTraceLines));
  }
}

/// False when the run ends here.
bool Explorer::step_chosen(std::vector<SimRole*>& roles) {
  const std::size_t at = depth_;
  const bool is_new = depth_ >= decisions_.size();
  const std::uint32_t chosen = decide(static_cast<std::uint32_t>(roles.size()), true);
  const bool repeats = !is_new && at + 1 < decisions_.size();
  result_.num_steps += repeats ? 0 : 1;
  const std::uint64_t before = options_.keep_blocked ? roles[chosen]->digest() : 0;
  bool advanced = roles[chosen]->step() != protocol::Progress::kBlocked;
  if (!advanced && options_.keep_blocked) {
    advanced = roles[chosen]->digest() != before;
  }
  decisions_[at].somebody_advanced = decisions_[at].somebody_advanced || advanced;
  return advanced;
}

std::uint32_t Explorer::decide(std::uint32_t num_options, bool is_step) {
  if (depth_ == decisions_.size()) {
    decisions_.push_back({num_options, 0, is_step, false});
  }
  return decisions_[depth_++].chosen;
}

bool Explorer::is_visible() {
  return !exploring_ || decide(2, false) == 0;
}

/// To the last decision that could be another one; false when all were tried.
bool Explorer::go_back() {
  while (!decisions_.empty()) {
    Decision& last = decisions_.back();
    if (++last.chosen < last.num_options) {
      return true;
    }
    if (last.is_step && !last.somebody_advanced) {
      result_.problem = "nobody can go on, whatever becomes visible";
    }
    decisions_.pop_back();
  }
  return false;
}

std::uint64_t Explorer::digest(World& world) const {
  std::uint64_t digest = world.memory().held_back_digest();
  for (int rank = 0; rank < plan_.num_ranks; ++rank) {
    for (RunningOperation& running : world.rank(rank).running()) {
      for (const auto& role : running.roles) {
        digest = (digest ^ role->digest()) * 0x9e3779b97f4a7c15U;
        digest ^= digest >> 29U;
      }
    }
  }
  return digest;
}

ExchangePlan small_plan(const SmallWorld& world) {
  std::mt19937_64 random(1);
  ExchangePlan plan;
  plan.num_ranks = world.num_ranks;
  plan.num_channels = world.num_channels;
  plan.expert_copies = world.expert_copies;
  DispatchPlan dispatch;
  dispatch.layout = world.layout;
  dispatch.topk = 2;
  const bool both_on_one = world.expert_copies == ExpertCopies::kByReceiver;
  dispatch.num_experts = (both_on_one ? 2 : 1) * world.num_ranks;
  dispatch.hidden = 8;
  dispatch.weighted = true;
  dispatch.max_tokens = world.layout == Layout::kPadded ? 1 : 0;
  dispatch.expert_alignment = world.layout == Layout::kExpertMajor ? 2 : 1;
  dispatch.zero_padding = world.layout == Layout::kExpertMajor;
  for (int rank = 0; rank < world.num_ranks; ++rank) {
    DispatchPlan::Source source;
    source.num_tokens = 1;
    source.topk_idx = both_on_one ? std::vector<std::int64_t>{2, 3}
                                  : std::vector<std::int64_t>{rank, (rank + 1) % world.num_ranks};
    source.topk_weights = random_floats(random, 2);
    source.x = random_rows(random, DType::kBf16, 8);
    dispatch.sources.push_back(source);
  }
  const auto add = [&](DispatchPlan next) {
    plan.operations.push_back({true, static_cast<int>(plan.dispatches.size())});
    plan.dispatches.push_back(std::move(next));
  };
  add(dispatch);
  if (world.follows || world.repeats) {
    dispatch.follows = world.follows ? 0 : -1;
    add(dispatch);
  }
  if (world.refused) {
    plan.dispatches.back().refused_by = 1;
    plan.dispatches.back().sources[1].caller_output = true;
  }
  if (world.combines) {
    CombinePlan combine;
    combine.dispatch = 0;
    combine.weighs_rows = world.expert_rows == ExpertRows::kPrivate;
    combine.expert_rows.assign(dispatch.sources.size(), world.expert_rows);
    combine.caller_output.assign(dispatch.sources.size(), false);
    combine.data_seed = 5;
    plan.operations.push_back({false, 0});
    plan.combines.push_back(combine);
  }
  return plan;
}

}  // namespace switchyard::sim
