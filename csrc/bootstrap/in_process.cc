#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "csrc/bootstrap/contract.h"
#include "csrc/bootstrap/deadline.h"
#include "switchyard/bootstrap.h"
#include "switchyard/error.h"

namespace switchyard {
namespace {

/// Where the threads of one group meet. Rounds are counted; each rank has two slots, used in turn.
/// A slot is written for round n + 2 only after round n + 1 was complete, which is after every rank
/// had read round n.
class MeetingPoint {
 public:
  explicit MeetingPoint(int num_ranks) : members_(static_cast<std::size_t>(num_ranks)) {}

  /// Puts `mine` into round `round` and returns the contributions of all once every rank has come.
  void exchange(int rank,
                std::uint64_t round,
                std::span<const std::byte> mine,
                std::span<std::byte> all,
                std::chrono::milliseconds timeout);

  void leave(int rank) {
    const std::lock_guard lock(mutex_);
    members_[static_cast<std::size_t>(rank)].left = true;
    changed_.notify_all();
  }

 private:
  struct Member {
    std::vector<std::byte> slots[2];
    std::uint64_t num_entered = 0;  // rounds this rank has put its bytes into
    bool left = false;
  };

  /// The ranks that have not entered `round`.
  [[nodiscard]] std::vector<int> missing_from(std::uint64_t round) const {
    std::vector<int> missing;
    for (std::size_t rank = 0; rank < members_.size(); ++rank) {
      if (members_[rank].num_entered <= round) {
        missing.push_back(static_cast<int>(rank));
      }
    }
    return missing;
  }

  /// The first failure ends the group: whoever gave up is a round behind, so later rounds would
  /// mix.
  [[noreturn]] void fail(const std::string& reason) {
    if (failure_.empty()) {
      failure_ = reason;
      changed_.notify_all();
    }
    throw BootstrapError(failure_);
  }

  void collect(std::uint64_t round, std::span<std::byte> all);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Member> members_;
  std::string failure_;
};

void MeetingPoint::exchange(int rank,
                            std::uint64_t round,
                            std::span<const std::byte> mine,
                            std::span<std::byte> all,
                            std::chrono::milliseconds timeout) {
  const bootstrap::Deadline deadline(timeout);
  std::unique_lock lock(mutex_);
  if (!failure_.empty()) {
    throw BootstrapError(failure_);
  }
  Member& self = members_[static_cast<std::size_t>(rank)];
  self.slots[round % 2].assign(mine.begin(), mine.end());
  self.num_entered = round + 1;
  changed_.notify_all();
  for (auto missing = missing_from(round); !missing.empty(); missing = missing_from(round)) {
    if (!failure_.empty()) {
      throw BootstrapError(failure_);
    }
    const auto gone = std::find_if(missing.begin(), missing.end(), [this](int other) {
      return members_[static_cast<std::size_t>(other)].left;
    });
    if (gone != missing.end()) {
      fail(bootstrap::left_message(*gone));
    }
    if (deadline.passed()) {
      fail(bootstrap::late_message(missing, timeout));
    }
    changed_.wait_until(lock, deadline.end());
  }
  collect(round, all);
}

void MeetingPoint::collect(std::uint64_t round, std::span<std::byte> all) {
  std::vector<std::uint64_t> bytes_of_rank;
  bytes_of_rank.reserve(members_.size());
  for (const Member& member : members_) {
    bytes_of_rank.push_back(member.slots[round % 2].size());
  }
  if (const auto problem = bootstrap::length_problem(bytes_of_rank); !problem.empty()) {
    fail(problem);
  }
  auto out = all.begin();
  for (const Member& member : members_) {
    out = std::copy(member.slots[round % 2].begin(), member.slots[round % 2].end(), out);
  }
}

class InProcessBootstrap final : public Bootstrap {
 public:
  InProcessBootstrap(int rank,
                     int num_ranks,
                     std::chrono::milliseconds timeout,
                     std::shared_ptr<MeetingPoint> meeting)
      : rank_(rank), num_ranks_(num_ranks), timeout_(timeout), meeting_(std::move(meeting)) {}
  ~InProcessBootstrap() override { meeting_->leave(rank_); }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int num_ranks() const override { return num_ranks_; }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    bootstrap::check_gather_sizes(mine.size(), all.size(), num_ranks_);
    meeting_->exchange(rank_, num_rounds_++, mine, all, timeout_);
  }

 private:
  int rank_;
  int num_ranks_;
  std::chrono::milliseconds timeout_;
  std::shared_ptr<MeetingPoint> meeting_;
  std::uint64_t num_rounds_ = 0;
};

}  // namespace

std::vector<std::unique_ptr<Bootstrap>> make_in_process_bootstraps(
    int num_ranks, std::chrono::milliseconds timeout) {
  bootstrap::check_rank(0, num_ranks);
  const auto meeting = std::make_shared<MeetingPoint>(num_ranks);
  std::vector<std::unique_ptr<Bootstrap>> bootstraps;
  bootstraps.reserve(static_cast<std::size_t>(num_ranks));
  for (int rank = 0; rank < num_ranks; ++rank) {
    bootstraps.push_back(std::make_unique<InProcessBootstrap>(rank, num_ranks, timeout, meeting));
  }
  return bootstraps;
}

}  // namespace switchyard
