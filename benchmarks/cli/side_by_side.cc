#include "benchmarks/cli/side_by_side.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace switchyard::bench {
namespace {

constexpr int kNumParties = 1 + static_cast<int>(kMpiRivals.size());

// Some cases that are launched together. Party 0 is ours, the others are the rivals.
class Match {
 public:
  Match(const BenchOptions& options, std::vector<CasePlan> plans, RankMessages::OnProgress progress)
      : options_(options),
        plans_(std::move(plans)),
        progress_(std::move(progress)),
        num_rounds_(num_rounds(options)) {
    result_.rivals.assign(plans_.size(), std::vector<MpiTimes>(kMpiRivals.size()));
  }

  SideBySide run() {
    for (int round = 0; round < num_rounds_; ++round) {
      for (int turn = 0; turn < kNumParties; ++turn) {
        const int party = round % 2 == 0 ? turn : kNumParties - 1 - turn;
        const bool ok = party == 0 ? take_own_turn(round) : take_rival_turn(round, party - 1);
        if (!ok) {
          return std::move(result_);
        }
        ++turns_done_;
      }
    }
    return std::move(result_);
  }

 private:
  // False when there is nothing to go on with: a failure, or another rank reports.
  bool take_own_turn(int round) {
    BenchOptions mine = options_;
    mine.rounds = num_rounds_;
    mine.iterations = iterations_of(round, 0);
    LaunchResult launched = launch(mine, plans_, [&](double fraction, const std::string& doing) {
      show(fraction, doing + ", ours", round);
    });
    if (launched.exit_code != kExitOk || launched.samples.empty()) {
      result_.own = std::move(launched);
      return false;
    }
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      if (round == 0) {
        const auto ran = launched.samples[i].front().dispatch.own.begin_ns.size();
        iterations_of_first_round_.push_back(static_cast<int>(ran));
        result_.own.samples.push_back(std::move(launched.samples[i]));
        continue;
      }
      for (std::size_t rank = 0; rank < launched.samples[i].size(); ++rank) {
        append(result_.own.samples[i][rank], launched.samples[i][rank]);
      }
    }
    return true;
  }

  bool take_rival_turn(int round, int rival_idx) {
    const MpiRival& rival = kMpiRivals[static_cast<std::size_t>(rival_idx)];
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      show(static_cast<double>(i) / static_cast<double>(plans_.size()),
           fmt::format("{}, {}", case_name(plans_[i].workload), rival.name),
           round);
      MpiTimes& times = result_.rivals[i][static_cast<std::size_t>(rival_idx)];
      if (!run_mpi(options_, plans_[i].workload, rival, iterations_of(round, i), times)) {
        result_.own = {.exit_code = kExitInterrupted,
                       .failure = "interrupted; every process has been ended"};
        return false;
      }
    }
    return true;
  }

  // 0: ours chooses, in the first round; the rivals and later rounds do as many.
  [[nodiscard]] int iterations_of(int round, std::size_t case_idx) const {
    if (options_.iterations > 0) {
      return share_of_round(options_.iterations, round, num_rounds_);
    }
    return iterations_of_first_round_.empty() ? 0 : iterations_of_first_round_[case_idx];
  }

  void show(double fraction_of_turn, const std::string& doing, int round) const {
    const double fraction = (turns_done_ + fraction_of_turn) / (num_rounds_ * kNumParties);
    progress_(fraction, fmt::format("{} (round {} of {})", doing, round + 1, num_rounds_));
  }

  const BenchOptions& options_;
  std::vector<CasePlan> plans_;
  RankMessages::OnProgress progress_;
  int num_rounds_;
  int turns_done_ = 0;
  std::vector<int> iterations_of_first_round_;  // by case
  SideBySide result_;
};

}  // namespace

int num_rounds(const BenchOptions& options) {
  if (options.ranks_as == RanksAs::kLaunched) {
    return 1;
  }
  const int most = options.is_sweep() ? kMostSweepRounds : kMostRounds;
  return options.iterations > 0 ? std::min(options.iterations, most) : most;
}

int share_of_round(int total, int round, int num_rounds) {
  return total / num_rounds + (round < total % num_rounds ? 1 : 0);
}

SideBySide measure_side_by_side(const BenchOptions& options,
                                const std::vector<CasePlan>& plans,
                                const RankMessages::OnProgress& on_progress) {
  if (options.ranks_as == RanksAs::kLaunched) {
    return Match(options, plans, on_progress).run();
  }
  SideBySide all;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const auto show = [&](double fraction, const std::string& doing) {
      on_progress((static_cast<double>(i) + fraction) / static_cast<double>(plans.size()), doing);
    };
    SideBySide one = Match(options, {plans[i]}, show).run();
    if (one.own.exit_code != kExitOk) {
      return one;
    }
    all.own.samples.push_back(std::move(one.own.samples.front()));
    all.rivals.push_back(std::move(one.rivals.front()));
  }
  return all;
}

}  // namespace switchyard::bench
