// The count exchange of dispatch: tells every destination how many rows come, reserves this rank's
// landing, and tells every source where its rows begin. One per rank and operation. Three paths
// through the same stages:
//   counted   reserve nothing -> counts out -> counts in -> place -> answers out -> answers in
//   handle    (backward pass, compact layouts)           -> place -> answers out -> answers in, as
//   hellos padded    reserve, permits out -> counts out -> permits in (rows may go) -> counts in
// No row moves in the first two before every rank has accepted, so a refusal costs nothing.
#pragma once

#include <cstdint>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/padded_permits.h"
#include "csrc/routing/placement.h"

namespace switchyard::protocol {

class CountExchange {
 public:
  static constexpr RoleKind kKind = RoleKind::kCountExchange;

  SY_HOST_DEVICE explicit CountExchange(const DispatchArgs* args) : args_(args) {
    if (args->problem.layout == Layout::kPadded) {
      stage_ = Stage::kReservePadded;
    } else {
      stage_ = args->problem.counted_before ? Stage::kPlace : Stage::kPostCounts;
    }
  }

  template <Warp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    switch (stage_) {
      case Stage::kReservePadded:
        return reserve_padded(warp);
      case Stage::kPostCounts:
        return post_counts(warp);
      case Stage::kCollectPermits:
        return collect_permits(warp);
      case Stage::kCollectCounts:
        return collect_counts(warp);
      case Stage::kPlace:
        return place(warp);
      case Stage::kPostAnswers:
        return post_answers(warp);
      case Stage::kCollectAnswers:
        return collect_answers(warp);
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t {
    kReservePadded,
    kPostCounts,
    kCollectPermits,
    kCollectCounts,
    kPlace,
    kPostAnswers,
    kCollectAnswers,
    kDone,
  };

  SY_HOST_DEVICE int num_ranks() const { return args_->op.peers.num_ranks; }
  SY_HOST_DEVICE int peer() const { return collector_.peer(); }

  SY_HOST_DEVICE Progress enter(Stage stage) {
    stage_ = stage;
    if (stage == Stage::kCollectAnswers) {
      collector_ = MailboxCollector{};
    }
    return stage == Stage::kDone ? Progress::kDone : Progress::kAdvanced;
  }

  SY_HOST_DEVICE Progress blocked(WaitKind kind) {
    wait_ = collector_.wait_point(kind, args_->op);
    return Progress::kBlocked;
  }

  template <Warp W>
  SY_HOST_DEVICE Progress fail(W& warp) {
    fail_operation(warp, args_->op, collector_.failure());
    return enter(Stage::kDone);
  }

  /// Takes the region that peers already have leave to fill, or reserves one; gives leave for this
  /// epoch either way, for peers that remember another predecessor.
  template <Warp W>
  SY_HOST_DEVICE Progress reserve_padded(W& warp) {
    const std::int64_t rows = args_->padded_rows();
    *args_->landing.num_rows = rows;
    *args_->landing.region = args_->padded.offered_region;
    if (args_->output.x != nullptr && args_->output.capacity_rows < rows) {
      refuse_for_output(rows);
      return enter(Stage::kPostCounts);
    }
    const std::uint64_t bytes = args_->landing_of(rows).region_bytes();
    if (*args_->landing.region == kNoRegion) {
      *args_->landing.region = warp.allocate(bytes);
    }
    if (*args_->landing.region == kNoRegion) {
      refuse_for_heap(warp, bytes);
    } else {
      post_permits(warp, *args_, *args_->landing.region, kPermitSignatureWord);
    }
    return enter(Stage::kPostCounts);
  }

  template <Warp W>
  SY_HOST_DEVICE void refuse_for_heap(W& warp, std::uint64_t needed) {
    refusal_ = {FailureKind::kHeapTooSmall, args_->op.peers.rank, needed, warp.largest_free()};
  }

  SY_HOST_DEVICE void refuse_for_output(std::int64_t rows) {
    refusal_ = {FailureKind::kOutputTooSmall,
                args_->op.peers.rank,
                static_cast<std::uint64_t>(rows),
                static_cast<std::uint64_t>(args_->output.capacity_rows)};
  }

  template <Warp W>
  SY_HOST_DEVICE Progress post_counts(W& warp) {
    const DispatchProblem& problem = args_->problem;
    for (int peer = 0; peer < num_ranks(); ++peer) {
      MailboxWriter hello(args_->op.hello_at(peer),
                          args_->op,
                          args_->op.check_to(peer, MessageKind::kHello),
                          refusal_);
      const std::int32_t* counts =
          args_->routing.tokens_per_expert + peer * problem.experts_per_rank;
      hello.put(warp, static_cast<std::uint64_t>(args_->routing.rows_per_rank[peer]));
      for (int expert = 0; expert < problem.experts_per_rank; ++expert) {
        hello.put(warp, static_cast<std::uint64_t>(counts[expert]));
      }
      hello.post(warp);
    }
    return enter(problem.layout == Layout::kPadded ? Stage::kCollectPermits
                                                   : Stage::kCollectCounts);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress collect_permits(W& warp) {
    switch (permits_.collect(warp, *args_, collector_)) {
      case PermitCollector::Outcome::kBlocked:
        wait_ = permits_.wait();
        return Progress::kBlocked;
      case PermitCollector::Outcome::kComplete:
        if (!collector_.failed()) {
          // Pairs with ScaleUpSend::await_placement.
          warp.store_release(&args_->op.flags->placed, 1);
        }
        break;
      case PermitCollector::Outcome::kWillNotCome:
        break;
    }
    return enter(Stage::kCollectCounts);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress collect_counts(W& warp) {
    const auto end = kFirstCountWord + static_cast<std::uint32_t>(args_->problem.experts_per_rank);
    const auto take = [&](std::uint32_t index, std::uint32_t value) { take_count(index, value); };
    if (!collector_.read(
            warp, args_->op, MessageKind::kHello, args_->op.hello_from(peer()), end, take)) {
      return blocked(WaitKind::kCounts);
    }
    check_counts();
    collector_.next_peer();
    if (peer() < num_ranks()) {
      return Progress::kAdvanced;
    }
    if (collector_.failed()) {
      return fail(warp);
    }
    if (args_->problem.layout != Layout::kPadded) {
      return enter(Stage::kPlace);
    }
    warp.store_release(&args_->op.flags->counted, 1);  // pairs with ScaleUpReceive::await_counts
    return enter(Stage::kDone);
  }

  SY_HOST_DEVICE void take_count(std::uint32_t index, std::uint32_t value) {
    const DispatchProblem& problem = args_->problem;
    if (index == kRowsWord) {
      args_->landing.rows_from[peer()] = static_cast<std::int32_t>(value);
      counted_rows_ = 0;
    } else {
      const auto expert = static_cast<std::int32_t>(index - kFirstCountWord);
      args_->landing.counts_from[peer() * problem.experts_per_rank + expert] =
          static_cast<std::int32_t>(value);
      counted_rows_ += value;
    }
  }

  /// Counts come from outside: they must fit together and into their places before anything is
  /// computed from them.
  SY_HOST_DEVICE void check_counts() {
    if (collector_.failed()) {
      return;
    }
    const DispatchProblem& problem = args_->problem;
    const std::int32_t rows = args_->landing.rows_from[peer()];
    const std::int32_t* counts = args_->landing.counts_from + peer() * problem.experts_per_rank;
    bool sound = rows >= 0 && static_cast<std::uint64_t>(rows) <= counted_rows_ &&
                 counted_rows_ <= static_cast<std::uint64_t>(INT32_MAX);
    for (int expert = 0; expert < problem.experts_per_rank; ++expert) {
      const bool fits = problem.layout != Layout::kPadded || counts[expert] <= problem.max_tokens;
      sound = sound && counts[expert] >= 0 && fits;
    }
    if (problem.row_per_expert()) {
      sound = sound && static_cast<std::uint64_t>(rows) == counted_rows_;
    }
    if (!sound) {
      collector_.note(
          {FailureKind::kCorrupt, peer(), static_cast<std::uint64_t>(rows), counted_rows_});
    }
  }

  /// Computes where each source's rows begin and reserves the landing that holds exactly them.
  template <Warp W>
  SY_HOST_DEVICE Progress place(W& warp) {
    const DispatchProblem& problem = args_->problem;
    const DispatchLanding& landing = args_->landing;
    if (!problem.counted_before) {
      *landing.num_rows =
          problem.row_per_expert()
              ? routing::place_expert_major(landing.counts_from,
                                            num_ranks(),
                                            problem.experts_per_rank,
                                            problem.expert_alignment,
                                            landing.base_from,
                                            landing.expert_offsets)
              : routing::place_rank_major(landing.rows_from, num_ranks(), landing.base_from);
      if (*landing.num_rows < landing.fixed_rows) {
        *landing.num_rows = landing.fixed_rows;
      }
    }
    const std::int64_t rows = *landing.num_rows;
    const std::uint64_t bytes = args_->landing_of(rows).region_bytes();
    if (args_->output.x != nullptr && args_->output.capacity_rows < rows) {
      refuse_for_output(rows);
    } else {
      *landing.region = warp.allocate(bytes);
      if (*landing.region == kNoRegion) {
        refuse_for_heap(warp, bytes);
      }
    }
    return enter(Stage::kPostAnswers);
  }

  /// Along a handle, what else an answer says comes with the hello.
  SY_HOST_DEVICE MessageKind answer_kind() const {
    return args_->problem.counted_before ? MessageKind::kHello : MessageKind::kAnswer;
  }

  template <Warp W>
  SY_HOST_DEVICE Progress post_answers(W& warp) {
    const std::int32_t num_bases =
        args_->problem.counted_before ? 0 : args_->problem.bases_per_rank();
    for (int peer = 0; peer < num_ranks(); ++peer) {
      Word* mailbox =
          args_->problem.counted_before ? args_->op.hello_at(peer) : args_->op.answer_at(peer);
      MailboxWriter answer(mailbox, args_->op, args_->op.check_to(peer, answer_kind()), refusal_);
      answer.put(warp, *args_->landing.region / kRegionUnit);
      answer.put(warp, static_cast<std::uint64_t>(*args_->landing.num_rows));
      for (std::int32_t i = 0; i < num_bases; ++i) {
        answer.put(warp,
                   static_cast<std::uint64_t>(args_->landing.base_from[peer * num_bases + i]));
      }
      answer.post(warp);  // releases the region
    }
    return enter(Stage::kCollectAnswers);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress collect_answers(W& warp) {
    const bool counted = args_->problem.counted_before;
    const std::uint32_t end =
        kFirstBaseWord + static_cast<std::uint32_t>(counted ? 0 : args_->problem.bases_per_rank());
    const auto take = [&](std::uint32_t index, std::uint32_t value) { take_answer(index, value); };
    const Word* mailbox = counted ? args_->op.hello_from(peer()) : args_->op.answer_from(peer());
    if (!collector_.read(warp, args_->op, answer_kind(), mailbox, end, take)) {
      return blocked(WaitKind::kAnswer);
    }
    check_answer();
    collector_.next_peer();
    if (peer() < num_ranks()) {
      return Progress::kAdvanced;
    }
    if (collector_.failed()) {
      return fail(warp);
    }
    warp.store_release(&args_->op.flags->counted, 1);  // pairs with ScaleUpReceive::await_counts
    warp.store_release(&args_->op.flags->placed, 1);   // pairs with ScaleUpSend::await_placement
    return enter(Stage::kDone);
  }

  SY_HOST_DEVICE void take_answer(std::uint32_t index, std::uint32_t value) {
    const DispatchPlacement& placement = args_->placement;
    if (index == kRegionWord) {
      placement.region_of_rank[peer()] = value * kRegionUnit;
    } else if (index == kNumRowsWord) {
      placement.rows_of_rank[peer()] = static_cast<std::int32_t>(value);
    } else {
      const auto i = static_cast<std::int32_t>(index - kFirstBaseWord);
      placement.base[peer() * args_->problem.bases_per_rank() + i] =
          static_cast<std::int32_t>(value);
    }
  }

  /// Rows will be written where the answer says: it must lie within the peer's heap and its own
  /// landing.
  SY_HOST_DEVICE void check_answer() {
    if (collector_.failed()) {
      return;
    }
    const DispatchPlacement& placement = args_->placement;
    const std::int32_t rows = placement.rows_of_rank[peer()];
    const std::uint64_t begin = placement.region_of_rank[peer()];
    bool sound = rows >= 0 && begin >= args_->op.control.block_bytes() &&
                 begin + args_->landing_of(rows).region_bytes() <= args_->op.peers.end_of_heap();
    const std::int32_t num_bases = args_->problem.bases_per_rank();
    for (std::int32_t i = 0; i < num_bases; ++i) {
      const std::int32_t base = placement.base[peer() * num_bases + i];
      const std::int32_t count =
          args_->problem.row_per_expert()
              ? args_->routing.tokens_per_expert[peer() * args_->problem.experts_per_rank + i]
              : args_->routing.rows_per_rank[peer()];
      sound = sound && base >= 0 && base <= rows - count;
    }
    if (!sound) {
      collector_.note({FailureKind::kCorrupt, peer(), begin, static_cast<std::uint64_t>(rows)});
    }
  }

  const DispatchArgs* args_;
  Stage stage_;
  MailboxCollector collector_;
  PermitCollector permits_;
  Failure refusal_;
  std::uint64_t counted_rows_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
