// How emulated kernels end when a caller, a rank or the memory does not do its part: every block
// ends, every rank learns the same, and where the group can go on it does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "benchmarks/sim/exchange_run.h"
#include "switchyard/error.h"
#include "tests/emulated/support/emulated_rank.h"
#include "tests/support/seeds.h"

namespace switchyard::sim {
namespace {

using protocol::Failure;
using protocol::FailureKind;

constexpr std::uint64_t kLong = LaunchOptions{}.timeout_ns;

/// Plans whose second dispatch is the one to suffer: everybody sends rows to everybody.
ExchangePlan plan_of(std::uint64_t seed) {
  ExchangePlan plan =
      make_plan(seed, {.min_ranks = 3, .max_ranks = 3, .max_in_flight = 1, .max_operations = 1});
  DispatchPlan& first = plan.dispatches.front();
  std::mt19937_64 random(seed);
  first.max_tokens = first.layout == Layout::kPadded ? 6 : 0;
  for (DispatchPlan::Source& source : first.sources) {
    source.num_tokens = 6;
    source.topk_idx.clear();
    for (int i = 0; i < source.num_tokens * first.topk; ++i) {
      source.topk_idx.push_back((i * 5 + i / 3) % first.num_experts);
    }
    const auto tokens = static_cast<std::size_t>(source.num_tokens);
    source.topk_weights = random_floats(random, source.topk_idx.size());
    source.x = random_rows(random, first.dtype, tokens * static_cast<std::size_t>(first.hidden));
    source.scales.assign(tokens * static_cast<std::size_t>(first.scale_words()), 7U);
  }
  plan.operations = {{true, 0}, {true, 1}, {true, 2}};
  plan.dispatches.assign(3, DispatchPlan(first));
  return plan;
}

void run_group(std::uint64_t seed, Interference& interference, const ExchangePlan& plan) {
  try {
    EmulatedGroup(plan, seed, world_options(plan, seed), interference, kLong).run();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "--seed=" << seed << ": " << error.what() << "\n" << plan.describe();
  }
}

class SmallRegion final : public Interference {
 public:
  void before_dispatch(int rank, int dispatch, cuda::DispatchLaunch& launch) override {
    if (rank == 1 && dispatch == 1) {
      launch.launch.regions[0].bytes = 1;
      launch.args.padded.offered_region = protocol::kNoRegion;
    }
  }
  std::optional<Failure> failure(int, int dispatch) override {
    return dispatch == 1 ? std::optional(Failure{FailureKind::kHeapTooSmall, 1, 0, 0})
                         : std::nullopt;
  }
};

TEST(EmulatedFailures, EveryRankLearnsWhoseHeapIsTooSmallAndGoesOn) {
  test::for_each_seed(10, [](std::uint64_t seed) {
    const ExchangePlan plan = plan_of(seed);
    if (plan.dispatches.front().layout != Layout::kPadded) {  // which takes what it offered before
      SmallRegion interference;
      run_group(seed, interference, plan);
    }
  });
}

class OtherSignature final : public Interference {
 public:
  void before_dispatch(int rank, int dispatch, cuda::DispatchLaunch& launch) override {
    launch.args.op.signature += rank == 1 && dispatch == 1 ? 1 : 0;
  }
  std::optional<Failure> failure(int rank, int dispatch) override {
    const int seen = rank == 1 ? 0 : 1;  // the first that differs
    return dispatch == 1 ? std::optional(Failure{FailureKind::kMismatch, seen, 0, 0})
                         : std::nullopt;
  }
};

TEST(EmulatedFailures, EveryRankNamesOneThatIssuedSomethingElseAndGoesOn) {
  test::for_each_seed(10, [](std::uint64_t seed) {
    const ExchangePlan plan = plan_of(seed);
    OtherSignature interference;
    run_group(seed, interference, plan);
  });
}

/// Where the plan says none, the device finds an expert that is not there.
class BadEntry final : public Interference {
 public:
  explicit BadEntry(const ExchangePlan& plan) : plan_(plan) {}

  void before_route(int rank, int dispatch, cuda::RouteArgs& args) override {
    if (rank != 1 || dispatch != 1) {
      return;
    }
    const DispatchPlan::Source& source = plan_.dispatches[1].sources[1];
    wide_ = source.topk_idx;
    wide_[kEntry] = kExpert;
    narrow_.assign(wide_.begin(), wide_.end());
    args.topk_idx = args.wide_index ? static_cast<const void*>(wide_.data()) : narrow_.data();
  }
  cuda::BadEntry bad_entry(int rank, int dispatch) override {
    const auto topk = static_cast<std::size_t>(plan_.dispatches[1].topk);
    return rank == 1 && dispatch == 1 ? cuda::BadEntry{static_cast<std::int32_t>(kEntry / topk),
                                                       static_cast<std::int32_t>(kEntry % topk),
                                                       kExpert}
                                      : cuda::BadEntry{};
  }

  static constexpr std::size_t kEntry = 4;

 private:
  static constexpr std::int64_t kExpert = 12'345;
  const ExchangePlan& plan_;
  std::vector<std::int64_t> wide_;
  std::vector<std::int32_t> narrow_;
};

TEST(EmulatedFailures, AnEntryThatIsNoExpertIsReportedAndTakenForNone) {
  test::for_each_seed(10, [](std::uint64_t seed) {
    ExchangePlan plan = plan_of(seed);
    plan.dispatches[1].sources[1].topk_idx[BadEntry::kEntry] = -1;
    BadEntry interference(plan);
    run_group(seed, interference, plan);
  });
}

/// The messages of rank 1 to rank 0.
enum class Message : std::uint8_t { kHello, kAnswer, kArrival };

/// Flips a bit of one word of the second operation on its way from rank 1 to rank 0.
class Damage final : public Interference {
 public:
  Damage(const protocol::ControlLayout& control, Message message)
      : tag_(protocol::epoch_tag(2, control.num_slots)) {
    const std::uint32_t slot = tag_ % control.num_slots;
    const std::uint64_t first_value = protocol::kNumHeadWords * sizeof(protocol::Word);
    at_ = message == Message::kHello    ? control.hello(slot, 1) + first_value
          : message == Message::kAnswer ? control.answer(slot, 1) + first_value
                                        : control.progress(slot, 1, 0);
  }

  protocol::Word carry(int owner, std::uint64_t offset, protocol::Word value) override {
    const bool hit = owner == 0 && offset == at_ && protocol::word_tag(value) == tag_;
    num_hits_ += hit ? 1 : 0;
    return hit ? value ^ 1U : value;
  }
  [[nodiscard]] int num_hits() const { return num_hits_; }

 private:
  std::uint32_t tag_;
  std::uint64_t at_;
  int num_hits_ = 0;
};

void expect_damage(std::uint64_t seed, Message message) {
  const ExchangePlan plan = plan_of(seed);
  const bool padded = plan.dispatches.front().layout == Layout::kPadded;
  if (message == Message::kAnswer && padded) {
    return;  // has permits instead
  }
  SCOPED_TRACE("--seed=" + std::to_string(seed) + "\n" + plan.describe());
  const WorldOptions options = world_options(plan, seed);
  Damage damage(World::control_of(options), message);
  EmulatedGroup group(plan, seed, options, damage, kLong);
  ASSERT_NO_THROW(group.run());
  ASSERT_EQ(damage.num_hits(), 1);
  const cuda::Outcome& outcome = group.rank(0).outcome();
  EXPECT_EQ(outcome.failed, 1U);
  if (message == Message::kArrival) {
    EXPECT_EQ(outcome.corrupt, 2U) << "1 + the rank whose rows are not where it says";
  } else {
    EXPECT_EQ(outcome.failure.kind, FailureKind::kDamaged);
    EXPECT_EQ(outcome.failure.rank, 1);
  }
  for (int rank = 0; rank < plan.num_ranks; ++rank) {
    const auto& fault = group.rank(rank).fault();
    ASSERT_TRUE(fault) << "rank " << rank;
    EXPECT_EQ(fault->cause, static_cast<std::uint32_t>(ErrorCode::kInternal));
    EXPECT_EQ(fault->reporter, 0);
    EXPECT_EQ(fault->peer, 1);
    EXPECT_EQ(fault->epoch, 2U);
  }
}

TEST(EmulatedFailures, EveryRankNamesWhoseHelloArrivedDamaged) {
  test::for_each_seed(10, [](std::uint64_t seed) { expect_damage(seed, Message::kHello); });
}

TEST(EmulatedFailures, EveryRankNamesWhoseAnswerArrivedDamaged) {
  test::for_each_seed(10, [](std::uint64_t seed) { expect_damage(seed, Message::kAnswer); });
}

TEST(EmulatedFailures, EveryRankNamesWhoseRowsWereAnnouncedByADamagedWord) {
  test::for_each_seed(10, [](std::uint64_t seed) { expect_damage(seed, Message::kArrival); });
}

/// Rank 1 stops before some operation.
class Deserter final : public Interference {
 public:
  explicit Deserter(PlannedOperation from) : from_(from) {}
  bool stays_away(int rank, const PlannedOperation& operation) override {
    return rank == 1 && operation.is_dispatch == from_.is_dispatch &&
           operation.index == from_.index;
  }

 private:
  PlannedOperation from_;
};

void expect_timeout(std::uint64_t seed, const ExchangePlan& plan, std::size_t missed) {
  SCOPED_TRACE("--seed=" + std::to_string(seed) + "\n" + plan.describe());
  Deserter interference(plan.operations[missed]);
  EmulatedGroup group(plan, seed, world_options(plan, seed), interference, 20'000'000);
  ASSERT_NO_THROW(group.run());
  for (const int rank : {0, 2}) {
    const auto& fault = group.rank(rank).fault();
    ASSERT_TRUE(fault) << "rank " << rank;
    EXPECT_EQ(fault->state, 2U);
    EXPECT_EQ(fault->cause, static_cast<std::uint32_t>(ErrorCode::kTimeout));
    EXPECT_EQ(fault->epoch, missed + 1);
    EXPECT_TRUE(fault->reporter == 0 || fault->reporter == 2);
    EXPECT_EQ(fault->peer, 1) << "wait " << fault->wait;
  }
}

TEST(EmulatedFailures, EveryBlockEndsWithAFaultWhenARankStaysAwayFromADispatch) {
  test::for_each_seed(10, [](std::uint64_t seed) { expect_timeout(seed, plan_of(seed), 1); });
}

TEST(EmulatedFailures, EveryBlockEndsWithAFaultWhenARankStaysAwayFromACombine) {
  test::for_each_seed(10, [](std::uint64_t seed) {
    ExchangePlan plan = plan_of(seed);
    CombinePlan combine;
    combine.dtype = plan.dispatches[0].landed_dtype() == DType::kFp8E4m3 ? DType::kBf16
                                                                         : plan.dispatches[0].dtype;
    combine.expert_rows = {ExpertRows::kInHeap, ExpertRows::kInHeap, ExpertRows::kPrivate};
    combine.caller_output = {false, false, false};
    plan.combines = {combine};
    plan.operations = {{true, 0}, {false, 0}};
    expect_timeout(seed, plan, 1);
  });
}

/// Rank 1 stops before the second operation, and rank 0's record says so already.
class KnownDeserter final : public Interference {
 public:
  static constexpr std::uint64_t kSeen = 4711;

  bool stays_away(int rank, const PlannedOperation& operation) override {
    if (rank == 1 && operation.index == 1) {
      targets::Fault fault{ErrorCode::kTimeout, 0, protocol::RoleKind::kScaleUpReceive, {}, 2};
      fault.wait = {protocol::WaitKind::kRows, 1, 0, 1, kSeen};
      targets::write_record(*record, fault);
      record->state = targets::kFaultReadable;
      return true;
    }
    return false;
  }

  protocol::ErrorRecord* record = nullptr;
};

TEST(EmulatedFailures, ARankThatRaisesTellsOfTheFaultThatRank0sRecordHolds) {
  test::for_each_seed(5, [](std::uint64_t seed) {
    const ExchangePlan plan = plan_of(seed);
    KnownDeserter interference;
    EmulatedGroup group(plan, seed, world_options(plan, seed), interference, 20'000'000);
    interference.record = &group.error_record(0);
    ASSERT_NO_THROW(group.run());
    const auto& fault = group.rank(2).fault();
    ASSERT_TRUE(fault);
    EXPECT_EQ(fault->reporter, 0) << "--seed=" << seed;
    EXPECT_EQ(fault->seen, KnownDeserter::kSeen) << "--seed=" << seed;
  });
}

}  // namespace
}  // namespace switchyard::sim
