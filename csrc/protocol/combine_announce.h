// Announce of combine: tells every source rank where this rank's expert outputs lie, learns the
// same from every peer, and keeps the rows in place until every reader is done. One per rank and
// operation. Ranks of other nodes are told only that this one takes part, and read nothing here:
// whoever stands for them does.
#pragma once

#include <cstdint>

#include "csrc/protocol/combine_args.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/rail_post.h"

namespace switchyard::protocol {

class CombineAnnounce {
 public:
  static constexpr RoleKind kKind = RoleKind::kCombineAnnounce;

  SY_HOST_DEVICE explicit CombineAnnounce(const CombineArgs* args) : args_(args) {}

  template <Warp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    if (operation_failed(warp, args_->op)) {
      return Progress::kDone;
    }
    switch (stage_) {
      case Stage::kReserve:
        return reserve(warp);
      case Stage::kAwaitCopies:
        return await_copies(warp);
      case Stage::kPostRailHellos:
        return post_rail_hellos(warp);
      case Stage::kPost:
        return post(warp);
      case Stage::kCollect:
        return collect(warp);
      case Stage::kAwaitReaders:
        return await_readers(warp);
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t {
    kReserve,
    kAwaitCopies,
    kPostRailHellos,
    kPost,
    kCollect,
    kAwaitReaders,
    kDone
  };

  SY_HOST_DEVICE int num_ranks() const { return args_->op.peers.num_ranks; }
  SY_HOST_DEVICE int num_sources() const { return args_->op.num_sources(); }
  SY_HOST_DEVICE Stage first_post() const {
    return args_->op.place.num_nodes > 1 ? Stage::kPostRailHellos : Stage::kPost;
  }

  SY_HOST_DEVICE Progress enter(Stage stage) {
    stage_ = stage;
    return Progress::kAdvanced;
  }

  /// Room for the sums, where the caller gave none; and for rows outside the heap and per-row
  /// weights, which peers must be able to read.
  template <Warp W>
  SY_HOST_DEVICE Progress reserve(W& warp) {
    const std::uint64_t copy_in_bytes = args_->experts.copy_in.region_bytes();
    if (!reserve_region(warp, args_->output.region_bytes, args_->output.region) ||
        !reserve_region(warp, copy_in_bytes, args_->experts.copy_in_region)) {
      return enter(first_post());
    }
    if (!args_->copies_in()) {
      return enter(first_post());
    }
    warp.store_release(&args_->op.flags->reserved, 1);  // pairs with CombineCopyIn::await_region
    return enter(Stage::kAwaitCopies);
  }

  /// True when there is nothing to reserve or it was reserved.
  template <Warp W>
  SY_HOST_DEVICE bool reserve_region(W& warp, std::uint64_t bytes, std::uint64_t* region) {
    if (bytes == 0) {
      return true;
    }
    *region = warp.allocate(bytes);
    if (*region == kNoRegion) {
      refusal_ = {FailureKind::kHeapTooSmall, args_->op.self(), bytes, warp.largest_free()};
    }
    return *region != kNoRegion;
  }

  template <Warp W>
  SY_HOST_DEVICE Progress await_copies(W& warp) {
    const auto wanted = static_cast<Word>(args_->op.num_channels);
    const Word copied = warp.load_acquire(&args_->op.flags->copied);  // pairs with CombineCopyIn
    if (copied != wanted) {
      wait_ = {WaitKind::kLocalRole, -1, 0, wanted, copied};
      return Progress::kBlocked;
    }
    return enter(first_post());
  }

  template <Warp W>
  SY_HOST_DEVICE Progress post_rail_hellos(W& warp) {
    if constexpr (RailWarp<W>) {
      if (!rail_hellos_.done(args_->op)) {
        wait_ = network_wait(0);
        return rail_hellos_.send(
            warp, args_->op, refusal_, kNumHeadWords + 1, [](MailboxWriter&, int) {});
      }
    }
    return enter(Stage::kPost);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress post(W& warp) {
    const ExpertOutputs& experts = args_->experts;
    const CopyInLayout& layout = experts.copy_in;
    const bool refused = refusal_.kind != FailureKind::kNone;
    const std::uint64_t region = args_->copies_in() && !refused ? *experts.copy_in_region : 0;
    const std::uint64_t in_place = experts.heap_offset == kNoRegion ? 0 : experts.heap_offset;
    const std::uint64_t rows_at = layout.row_bytes == 0 ? in_place : region;
    const std::uint64_t weights_at =
        layout.num_weights == 0 ? 0 : region + layout.row_weights_offset();
    const std::uint64_t topk_weights_at =
        layout.num_entries == 0 ? 0 : region + layout.row_topk_weights_offset();
    for (int peer = 0; peer < num_ranks(); ++peer) {
      MailboxWriter hello(args_->op.hello_at(peer),
                          args_->op,
                          args_->op.check_to(peer, MessageKind::kHello),
                          refusal_);
      hello.put(warp, rows_at / kRowUnit);
      hello.put(warp, weights_at / kRowUnit);
      hello.put(warp, topk_weights_at / kRowUnit);
      hello.post(warp);  // releases the rows, too
    }
    return enter(Stage::kCollect);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress collect(W& warp) {
    const int source = collector_.peer();
    const bool is_here = args_->op.is_here(source);
    const int peer = source - args_->op.first_rank();
    const Word* mailbox = args_->op.hello_from(source);
    const auto take = [&](std::uint32_t index, std::uint32_t value) {
      if (is_here) {
        take_word(peer, index, value * kRowUnit);
      }
    };
    if (!collector_.read(warp, args_->op, MessageKind::kHello, mailbox, kNumAnnounceWords, take)) {
      wait_ = collector_.wait_point(WaitKind::kAnnounce, args_->op);
      return Progress::kBlocked;
    }
    if (is_here) {
      check_offsets(peer);
    }
    collector_.next_peer();
    if (collector_.peer() < num_sources()) {
      return Progress::kAdvanced;
    }
    if (collector_.failed()) {
      fail_operation(warp, args_->op, collector_.failure());
      return Progress::kDone;
    }
    // Pairs with await_placement of CombineAccumulate, ForwardAccumulate and ReceiveAccumulate.
    warp.store_release(&args_->op.flags->placed, 1);
    if (args_->op.place.num_nodes > 1) {
      warp.store_release(&args_->op.flags->cleared, 1);  // pairs with ScaleOutSend
    }
    return enter(Stage::kAwaitReaders);
  }

  SY_HOST_DEVICE void take_word(int peer, std::uint32_t index, std::uint64_t offset) {
    if (index == kRowsAtWord) {
      args_->contributions.rows_at[peer] = offset;
    } else if (index == kRowWeightsAtWord) {
      args_->contributions.row_weights_at[peer] = offset;
    } else {
      args_->contributions.row_topk_weights_at[peer] = offset;
    }
  }

  /// Rows will be read where the announcement says: they must lie where the peer's heap holds rows.
  SY_HOST_DEVICE void check_offsets(int peer) {
    if (collector_.failed()) {
      return;
    }
    const Contributions& from = args_->contributions;
    const auto rows = static_cast<std::uint64_t>(from.rows_of_rank[peer]);
    const std::uint64_t weight_bytes = rows * sizeof(float);
    const std::uint64_t weights_at = from.row_weights_at[peer];
    const std::uint64_t topk_weights_at = from.row_topk_weights_at[peer];
    const bool sound =
        (rows == 0 || may_lie(from.rows_at[peer], rows * args_->problem.row_bytes)) &&
        (weights_at == 0 || may_lie(weights_at, weight_bytes)) &&
        (topk_weights_at == 0 ||
         may_lie(topk_weights_at, weight_bytes * args_->problem.num_entries));
    if (!sound) {
      collector_.note({FailureKind::kCorrupt, args_->op.rank_of(peer), from.rows_at[peer], rows});
    }
  }

  /// Behind the control block, and within the heap.
  SY_HOST_DEVICE bool may_lie(std::uint64_t begin, std::uint64_t bytes) const {
    return begin >= args_->op.control.block_bytes() &&
           begin + bytes <= args_->op.peers.end_of_heap();
  }

  /// The caller may reuse the expert outputs when every rank that reads them has said that it is
  /// done.
  template <Warp W>
  SY_HOST_DEVICE Progress await_readers(W& warp) {
    for (; reader_ < num_sources(); ++reader_) {
      if (args_->experts.rows_from[reader_] == 0) {
        continue;
      }
      for (; reader_channel_ < args_->op.num_channels; ++reader_channel_) {
        const Word wanted = args_->op.progress_word(
            args_->op.check(MessageKind::kProgress, reader_, args_->op.self()),
            reader_channel_,
            kRowsRead);
        // Pairs with publish_rows_read(): the reads of our rows for that source are complete.
        const Word seen = warp.load_acquire(args_->op.progress_from(reader_, reader_channel_));
        if (word_tag(seen) != args_->op.epoch) {
          wait_ = {WaitKind::kConsumers, args_->op.waits_for(reader_), 0, wanted, seen};
          return Progress::kBlocked;
        }
        if (seen != wanted) {
          fail_operation(warp,
                         args_->op,
                         {FailureKind::kDamaged, reader_, word_value(wanted), word_value(seen)});
          return Progress::kDone;
        }
      }
      reader_channel_ = 0;
    }
    stage_ = Stage::kDone;
    return Progress::kDone;
  }

  const CombineArgs* args_;
  Stage stage_ = Stage::kReserve;
  MailboxCollector collector_;
  std::int32_t reader_ = 0;
  std::int32_t reader_channel_ = 0;
  RailHellos rail_hellos_;
  Failure refusal_;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
