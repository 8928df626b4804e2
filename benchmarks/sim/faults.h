// What may go wrong in a run beside bad luck with moments: each with a probability, drawn from the
// run's seed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "benchmarks/sim/exchange_plan.h"
#include "csrc/targets/sim/weak_memory.h"

namespace switchyard::sim {

/// Probabilities, for each run.
struct FaultOptions {
  double delay = 0;    ///< stores stay invisible for very long
  double reorder = 1;  ///< stores become visible in another order than they were made
  double slow = 0;     ///< one rank acts rarely
  double dead = 0;     ///< a rank's process ends, at any moment
  double stopped = 0;  ///< a rank acts no more, though its process lives
  double aborts = 0;   ///< a rank meets a broken invariant and fails the group
  double flip = 0;     ///< a bit of one mailbox word or of metadata arrives flipped
  double tight = 0;    ///< heaps with room for little: operations are refused
  double wrap = 0;     ///< operations are numbered from just below where tags wrap, or from 2^63

  double lost = 0;   ///< with several nodes, some messages between them never arrive
  double twice = 0;  ///< with several nodes, some messages between them arrive twice

  /// "dead:0.5,slow,flip:0.1"; a name without a number means 1. "all": each of them at times.
  /// Errors: InvalidArgument naming what is unknown and what there is
  static FaultOptions parse(std::string_view text);
  [[nodiscard]] std::string describe() const;
};

/// What is in store for one run.
struct FaultPlan {
  enum class Loss : std::uint8_t { kNone, kDead, kStopped, kAborts };
  /// Ways to break the group or what it says, to show that the judge notices.
  enum class Control : std::uint8_t {
    kNone,
    kNamesAnotherRank,
    kNamesAnotherStep,
    kNamesAnotherOperation,
    kNobodyDecides,  ///< ranks that raise at once each write their own fault
  };

  bool delayed = false;
  bool in_order = false;
  int slow_rank = -1;
  Loss loss = Loss::kNone;
  int victim = -1;
  std::uint64_t loss_at = 0;  ///< after how many turns of the victim in which something changed
  Control control = Control::kNone;
  bool flips = false;
  StoredAs flip_in = StoredAs::kWord;  ///< mailbox words, or metadata
  std::uint64_t flip_at = 0;           ///< such stores that arrive before the flipped one
  std::uint32_t flip_bit = 0;          ///< modulo the bits of the store
  std::uint64_t heap_bytes = 0;        ///< 0: plenty
  std::uint64_t first_epoch = 1;

  double lose = 0;       ///< for each message between nodes
  double duplicate = 0;  ///< for each message between nodes

  [[nodiscard]] bool may_fail() const { return loss != Loss::kNone || flips || lose > 0; }
  [[nodiscard]] std::string describe() const;
};

FaultPlan draw_faults(const FaultOptions& options, const ExchangePlan& plan, std::uint64_t seed);

/// A loss at a chosen moment, in place of one drawn from the seed.
struct ChosenLoss {
  FaultPlan::Loss loss = FaultPlan::Loss::kDead;
  int victim = 0;        ///< modulo the ranks of the plan
  std::uint64_t at = 0;  ///< as FaultPlan::loss_at

  /// "dead:RANK:TURN", "stopped:...", "aborts:...". Errors: InvalidArgument with what is wanted
  static ChosenLoss parse(std::string_view text);
  [[nodiscard]] std::string describe() const;
};

/// Flips one bit of what arrives.
class BitFlip final : public StoreFaults {
 public:
  /// What was damaged.
  struct Hit {
    int writer;
    const std::byte* at;
  };

  explicit BitFlip(const FaultPlan& plan)
      : in_(plan.flip_in), left_(plan.flip_at), bit_(plan.flip_bit) {}

  bool on_visible(int writer, std::byte* to, std::size_t bytes, StoredAs stored_as) override;
  [[nodiscard]] const std::optional<Hit>& hit() const { return hit_; }

 private:
  StoredAs in_;
  std::uint64_t left_;
  std::uint32_t bit_;
  std::optional<Hit> hit_;
};

}  // namespace switchyard::sim
