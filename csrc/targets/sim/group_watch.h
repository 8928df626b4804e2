// What the host target's workers and fault board do, in virtual time: who still lives, how long a
// rank has met no progress, and the one fault that every rank learns of. A fault travels to each
// rank by itself, as its writer's stores do.
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

  /// The rank acts no more. `ended`: its process is gone, and peers can see that; else it only
  /// stopped.
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
  /// whoever keeps the rank waiting in the end, becomes the group's fault, unless one more step
  /// finds that the peer had published before. True when something changed.
  bool look(int rank, SimRole& role, std::uint64_t epoch, const WaitOf& wait_of);

  /// Sends a fault to every rank; the first to arrive at a rank is the one that it reports.
  void raise(const targets::Fault& fault);
  /// Brings one fault on its way to its rank; false when there is none.
  bool deliver_one(std::mt19937_64& random);
  [[nodiscard]] const std::optional<targets::Fault>& fault_at(int rank) const {
    return states_[index(rank)].fault;
  }

 private:
  struct RankState {
    bool acts = true;
    bool ended = false;
    std::uint64_t last_progress_ns = 0;
    std::optional<targets::Fault> fault;
  };
  struct Message {
    int to;
    targets::Fault fault;
  };

  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

  std::uint64_t timeout_ns_;
  const Clock* clock_;
  std::vector<RankState> states_;
  std::vector<Message> on_their_way_;
};

}  // namespace switchyard::sim
