// Whether the fault with which a group ended is the right one: the same in every rank's record, and
// true. It names the rank that was lost, or whose message was damaged, and a step at which it was
// waited for in vain: what had to come from it by that step never came.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "benchmarks/sim/exchange_plan.h"
#include "benchmarks/sim/faults.h"
#include "benchmarks/sim/rank_program.h"
#include "benchmarks/sim/world.h"
#include "csrc/targets/fault.h"
#include "csrc/targets/sim/group_watch.h"

namespace switchyard::sim {

/// How a rank's part of a run ended.
enum class RankEnd : std::uint8_t {
  kActing,
  kFinished,  ///< every operation of the plan
  kFaulted,   ///< the group's fault
  kGaveUp,    ///< an operation failed on damage, which it raised
  kLost,      ///< the victim
};

/// What is known of a run that lost a rank or in which a bit flipped.
struct FaultedRun {
  const ExchangePlan& plan;
  const FaultPlan& faults;
  const BitFlip& flip;
  const std::vector<RankProgram>& programs;
  World& world;
};

class FaultJudge {
 public:
  explicit FaultJudge(const FaultedRun& run) : run_(run) {}

  /// Throws ModelViolation unless the reporter of a fault that is being raised stands at the step
  /// that the fault names.
  void check_raised(const targets::Fault& fault) const;

  /// Throws ModelViolation unless the faults that the ranks ended with are the right one.
  void check_group(const GroupWatch& watch, const std::vector<RankEnd>& ends) const;

 private:
  /// What a wait stands for: who may wait so, in which operation, and for which words.
  struct Step {
    protocol::RoleKind role;
    bool fits;                    ///< such an operation has such a wait for this peer
    std::uint64_t mailbox = 0;    ///< first word, in the reporter's heap
    std::uint32_t num_words = 0;  ///< the peer has written all of them, or still owes the step
  };

  [[nodiscard]] std::string why_not_loss(const targets::Fault& fault,
                                         const std::vector<RankEnd>& ends) const;
  [[nodiscard]] std::string why_not_damage(const targets::Fault& fault,
                                           const std::vector<RankEnd>& ends) const;
  [[nodiscard]] std::string why_not_owed(const targets::Fault& fault) const;
  [[nodiscard]] std::optional<Step> step_of(const targets::Fault& fault) const;
  [[nodiscard]] std::optional<Step> step_between_nodes(const targets::Fault& fault,
                                                       bool is_dispatch) const;
  [[nodiscard]] Step step_of_dispatch(const targets::Fault& fault, int index) const;
  [[nodiscard]] Step step_of_combine(const targets::Fault& fault, int index) const;
  [[nodiscard]] bool sends_rows(int dispatch, int from, int to) const;
  [[nodiscard]] bool is_damaged(const targets::Fault& fault, const Step& step) const;
  [[nodiscard]] std::uint32_t tag_of(const targets::Fault& fault) const;
  [[nodiscard]] std::uint32_t slot_of(const targets::Fault& fault) const;
  [[nodiscard]] std::string describe(const targets::Fault& fault) const;

  FaultedRun run_;
};

}  // namespace switchyard::sim
