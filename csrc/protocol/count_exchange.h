// The count exchange of dispatch: tells every destination how many rows come, reserves this rank's
// landing, and tells every source where its rows begin. One per rank and operation. Three paths
// through the same stages:
//   counted   reserve nothing -> counts out -> counts in -> place -> answers out -> answers in
//   handle    (backward pass, compact layouts)           -> place -> answers out -> answers in, as
//   hellos padded    reserve, permits out -> counts out -> permits in (rows may go) -> counts in
// No row moves in the first two before every rank has accepted, so a refusal costs nothing.
// With several nodes, counts also go out to the rail peers (rail_post.h), counts of ranks of other
// nodes come in by the ranks that stand for them (node_relay.h), answers go there, and instead of
// the answers of another node comes its verdict. A handle saves nothing then: the counts go out
// again, since the nodes in between keep none.
#pragma once

#include <cstdint>

#include "csrc/protocol/count_checks.h"
#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/padded_permits.h"
#include "csrc/protocol/rail_post.h"
#include "csrc/routing/placement.h"

namespace switchyard::protocol {

class CountExchange {
 public:
  static constexpr RoleKind kKind = RoleKind::kCountExchange;

  SY_HOST_DEVICE explicit CountExchange(const DispatchArgs* args) : args_(args) {
    if (args->problem.layout == Layout::kPadded) {
      stage_ = Stage::kReservePadded;
    } else {
      stage_ = args->problem.counted_before ? Stage::kPlace : first_post();
    }
  }

  template <Warp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    switch (stage_) {
      case Stage::kReservePadded:
        return reserve_padded(warp);
      case Stage::kPostRailHellos:
        return post_rail_hellos(warp);
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
    kPostRailHellos,
    kPostCounts,
    kCollectPermits,
    kCollectCounts,
    kPlace,
    kPostAnswers,
    kCollectAnswers,
    kDone,
  };

  SY_HOST_DEVICE int num_ranks() const { return args_->op.peers.num_ranks; }
  SY_HOST_DEVICE int num_sources() const { return args_->op.num_sources(); }
  SY_HOST_DEVICE bool has_other_nodes() const { return args_->op.place.num_nodes > 1; }
  SY_HOST_DEVICE int source() const { return collector_.peer(); }
  /// The rank whose mailbox is read, within this node.
  SY_HOST_DEVICE int peer() const { return collector_.peer() - args_->op.first_rank(); }
  SY_HOST_DEVICE Stage first_post() const {
    return has_other_nodes() ? Stage::kPostRailHellos : Stage::kPostCounts;
  }

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
      return enter(first_post());
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
    return enter(first_post());
  }

  template <Warp W>
  SY_HOST_DEVICE void refuse_for_heap(W& warp, std::uint64_t needed) {
    refusal_ = {FailureKind::kHeapTooSmall, args_->op.self(), needed, warp.largest_free()};
  }

  SY_HOST_DEVICE void refuse_for_output(std::int64_t rows) {
    refusal_ = {FailureKind::kOutputTooSmall,
                args_->op.self(),
                static_cast<std::uint64_t>(rows),
                static_cast<std::uint64_t>(args_->output.capacity_rows)};
  }

  /// Counts of this rank's rows for one rank.
  template <Warp W>
  SY_HOST_DEVICE void put_counts(W& warp, MailboxWriter& hello, int rank) const {
    const std::int32_t experts = args_->problem.experts_per_rank;
    const std::int32_t* counts = args_->routing.tokens_per_expert + rank * experts;
    hello.put(warp, static_cast<std::uint64_t>(args_->routing.rows_per_rank[rank]));
    for (int expert = 0; expert < experts; ++expert) {
      hello.put(warp, static_cast<std::uint64_t>(counts[expert]));
    }
  }

  template <Warp W>
  SY_HOST_DEVICE Progress post_rail_hellos(W& warp) {
    if constexpr (RailWarp<W>) {
      const auto channels = static_cast<std::uint32_t>(args_->op.num_channels);
      const std::uint64_t words =
          rail_hello_words(static_cast<std::uint32_t>(num_ranks()),
                           static_cast<std::uint32_t>(args_->problem.experts_per_rank),
                           channels);
      const auto fill = [&](MailboxWriter& hello, int node) {
        const std::int32_t* packets = args_->routing.packets + node * args_->op.num_channels;
        for (std::uint32_t channel = 0; channel < channels; ++channel) {
          hello.put(warp, static_cast<std::uint64_t>(packets[channel]));
        }
        for (int peer = 0; peer < num_ranks(); ++peer) {
          put_counts(warp, hello, node * num_ranks() + peer);
        }
      };
      if (!rail_hellos_.done(args_->op)) {
        wait_ = network_wait(0);
        return rail_hellos_.send(warp, args_->op, refusal_, words, fill);
      }
    }
    return enter(Stage::kPostCounts);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress post_counts(W& warp) {
    for (int peer = 0; peer < num_ranks(); ++peer) {
      MailboxWriter hello(args_->op.hello_at(peer),
                          args_->op,
                          args_->op.check_to(peer, MessageKind::kHello),
                          refusal_);
      put_counts(warp, hello, args_->op.rank_of(peer));
      hello.post(warp);
    }
    return enter(args_->problem.layout == Layout::kPadded ? Stage::kCollectPermits
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
            warp, args_->op, MessageKind::kHello, args_->op.hello_from(source()), end, take)) {
      return blocked(WaitKind::kCounts);
    }
    check_counts();
    collector_.next_peer();
    if (source() < num_sources()) {
      return Progress::kAdvanced;
    }
    if (collector_.failed()) {
      return fail(warp);
    }
    if (args_->problem.layout != Layout::kPadded) {
      return enter(Stage::kPlace);
    }
    warp.store_release(&args_->op.flags->counted, 1);  // pairs with ScaleUpReceive::await_counts
    clear(warp);
    return enter(Stage::kDone);
  }

  /// Every rank of every node has accepted: packets may go.
  template <Warp W>
  SY_HOST_DEVICE void clear(W& warp) {
    if (has_other_nodes()) {
      warp.store_release(&args_->op.flags->cleared, 1);  // pairs with ScaleOutSend, Forward
    }
  }

  SY_HOST_DEVICE void take_count(std::uint32_t index, std::uint32_t value) {
    const DispatchProblem& problem = args_->problem;
    if (index == kRowsWord) {
      args_->landing.rows_from[source()] = static_cast<std::int32_t>(value);
      counted_rows_ = 0;
    } else {
      const auto expert = static_cast<std::int32_t>(index - kFirstCountWord);
      args_->landing.counts_from[source() * problem.experts_per_rank + expert] =
          static_cast<std::int32_t>(value);
      counted_rows_ += value;
    }
  }

  SY_HOST_DEVICE void check_counts() {
    if (!collector_.failed() && !counts_are_sound(*args_, source(), counted_rows_)) {
      const auto rows = static_cast<std::uint64_t>(args_->landing.rows_from[source()]);
      collector_.note({FailureKind::kCorrupt, source(), rows, counted_rows_});
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
                                            num_sources(),
                                            problem.experts_per_rank,
                                            problem.expert_alignment,
                                            landing.base_from,
                                            landing.expert_offsets)
              : routing::place_rank_major(landing.rows_from, num_sources(), landing.base_from);
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
    // Pairs with NodeRelay::will_not_come.
    warp.store_release(&args_->op.flags->answered, 1);
    const std::int32_t num_bases =
        args_->problem.counted_before ? 0 : args_->problem.bases_per_rank();
    for (int source = 0; source < num_sources(); ++source) {
      const int peer = args_->op.stand_in(source);
      Word* mailbox = args_->problem.counted_before
                          ? args_->op.hello_at(peer)
                          : args_->op.answer_at(peer, args_->op.node_of(source));
      MailboxWriter answer(
          mailbox, args_->op, args_->op.check(answer_kind(), args_->op.self(), source), refusal_);
      answer.put(warp, *args_->landing.region / kRegionUnit);
      answer.put(warp, static_cast<std::uint64_t>(*args_->landing.num_rows));
      for (std::int32_t i = 0; i < num_bases; ++i) {
        answer.put(warp,
                   static_cast<std::uint64_t>(args_->landing.base_from[source * num_bases + i]));
      }
      answer.post(warp);  // releases the region
    }
    return enter(Stage::kCollectAnswers);
  }

  /// Answers of this node's ranks and verdicts of the others, in the order of ranks, so that every
  /// rank keeps the same refusal.
  template <Warp W>
  SY_HOST_DEVICE Progress collect_answers(W& warp) {
    const OperationArgs& op = args_->op;
    if (!op.is_here(source())) {
      return collect_verdict(warp);
    }
    const bool counted = args_->problem.counted_before;
    const std::uint32_t end =
        kFirstBaseWord + static_cast<std::uint32_t>(counted ? 0 : args_->problem.bases_per_rank());
    const auto take = [&](std::uint32_t index, std::uint32_t value) { take_answer(index, value); };
    const Word* mailbox = counted ? op.hello_from(source()) : op.answer_from(peer());
    if (!collector_.read(warp, op, answer_kind(), mailbox, end, take)) {
      return blocked(WaitKind::kAnswer);
    }
    check_answer();
    collector_.next_peer();
    return after_answer(warp);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress collect_verdict(W& warp) {
    if constexpr (RailWarp<W>) {
      const int node = args_->op.node_of(source());
      if (!read_verdict(warp, args_->op, node, collector_)) {
        wait_ = post_wait(args_->op, node, WaitKind::kVerdict);
        return Progress::kBlocked;
      }
    }
    collector_.go_to(source() + num_ranks());
    return after_answer(warp);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress after_answer(W& warp) {
    if (source() < num_sources()) {
      return Progress::kAdvanced;
    }
    if (collector_.failed()) {
      return fail(warp);
    }
    warp.store_release(&args_->op.flags->counted, 1);  // pairs with ScaleUpReceive::await_counts
    warp.store_release(&args_->op.flags->placed, 1);   // pairs with ScaleUpSend::await_placement
    clear(warp);
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
      own_bases(*args_, peer())[i] = static_cast<std::int32_t>(value);
    }
  }

  SY_HOST_DEVICE void check_answer() {
    if (!collector_.failed() && !answer_is_sound(*args_, peer())) {
      const DispatchPlacement& placement = args_->placement;
      const auto rows = static_cast<std::uint64_t>(placement.rows_of_rank[peer()]);
      collector_.note({FailureKind::kCorrupt, source(), placement.region_of_rank[peer()], rows});
    }
  }

  const DispatchArgs* args_;
  Stage stage_;
  MailboxCollector collector_;
  PermitCollector permits_;
  RailHellos rail_hellos_;
  Failure refusal_;
  std::uint64_t counted_rows_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
