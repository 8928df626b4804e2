// What the host target's workers and fault board do, in virtual time: who still lives, how long a
// rank has met no progress, and the one fault that every rank learns of. Whoever raises a fault
// writes the ranks' records one by one, as FaultBoard::raise does, and others act in between.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <vector>

#include "csrc/targets/fault.h"
#include "csrc/targets/sim/clock.h"
#include "csrc/targets/sim/sim_role.h"

namespace switchyard::sim {

class GroupWatch {
 public:
  GroupWatch(int num_ranks, std::uint64_t timeout_ns, const Clock& clock);

  /// The rank acts no more, nor goes on with what it was raising. `ended`: its process is gone, and
  /// peers can see that; else it only stopped.
  void lose(int rank, bool ended);
  [[nodiscard]] bool acts(int rank) const { return states_[index(rank)].acts; }

  void progressed(int rank) { states_[index(rank)].last_progress_ns = clock_->now_ns(); }
  [[nodiscard]] bool expired(int rank) const;
  [[nodiscard]] std::uint64_t deadline_ns(int rank) const {
    return states_[index(rank)].last_progress_ns + timeout_ns_;
  }

  /// What a rank waits for: make_wait(), or 0 when it does not wait.
  using WaitOf = std::function<protocol::Word(int rank)>;

  /// Looks at what a blocked role of `rank` waits for: a peer that ended or, past the deadline,
  /// whoever keeps the rank waiting in the end, is raised as a fault, unless one more step finds
  /// that the peer had published before. True when something changed.
  bool look(int rank, SimRole& role, std::uint64_t epoch, const WaitOf& wait_of);

  /// `raiser` begins to write the fault to every record that is still empty. Rank 0's comes first
  /// and decides: where it holds a fault already, that one is written to the others.
  void raise(int raiser, const targets::Fault& fault);
  /// One of those who raise, picked by chance, comes to its next record; false when nobody does.
  bool write_one(std::mt19937_64& random);
  /// What stands in a rank's record.
  [[nodiscard]] const std::optional<targets::Fault>& fault_at(int rank) const {
    return states_[index(rank)].fault;
  }
  /// All that were raised, also those that came too late to become the group's.
  [[nodiscard]] const std::vector<targets::Fault>& raised() const { return raised_; }

  /// A control: every raiser writes its own fault, whatever rank 0's record holds.
  void let_nobody_decide() { rank0_decides_ = false; }

 private:
  struct RankState {
    bool acts = true;
    bool ended = false;
    std::uint64_t last_progress_ns = 0;
    std::optional<targets::Fault> fault;
  };
  struct Raise {
    int raiser;
    targets::Fault fault;
    std::size_t next = 0;  ///< the record it comes to
  };

  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

  std::uint64_t timeout_ns_;
  const Clock* clock_;
  std::vector<RankState> states_;
  std::vector<Raise> raises_;  // under way
  std::vector<targets::Fault> raised_;
  bool rank0_decides_ = true;
};

}  // namespace switchyard::sim
