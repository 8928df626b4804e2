// Accumulate of a combine within one node: pulls the contributions to each token of its share from
// the ranks that hold them and sums them in the contract's order: one read per contribution, one
// write per token. One per channel.
#pragma once

#include <cstdint>

#include "csrc/protocol/combine_args.h"
#include "csrc/protocol/contributions.h"
#include "csrc/protocol/mailbox.h"

namespace switchyard::protocol {

class CombineAccumulate {
 public:
  static constexpr RoleKind kKind = RoleKind::kCombineAccumulate;

  SY_HOST_DEVICE CombineAccumulate(const CombineArgs* args, int channel)
      : args_(args), channel_(channel), contributions_(args, args->op.place.node) {
    const Share share = share_of(args->problem.num_tokens, channel, args->op.num_channels);
    token_ = static_cast<std::int32_t>(share.begin);
    end_token_ = static_cast<std::int32_t>(share.end);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    if (operation_failed(warp, args_->op)) {
      return Progress::kDone;
    }
    switch (stage_) {
      case Stage::kAwaitPlacement:
        return await_placement(warp);
      case Stage::kAccumulate:
        return accumulate_chunk(warp);
      case Stage::kPublish:
        publish_rows_read(warp, args_->op, channel_, args_->op.self());
        stage_ = Stage::kDone;
        break;
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t { kAwaitPlacement, kAccumulate, kPublish, kDone };

  template <Warp W>
  SY_HOST_DEVICE Progress await_placement(W& warp) {
    // Pairs with CombineAnnounce::collect: every rank's rows are visible and their offsets written.
    const Word placed = warp.load_acquire(&args_->op.flags->placed);
    if (placed == 0) {
      wait_ = {WaitKind::kLocalRole, -1, channel_, 1, placed};
      return Progress::kBlocked;
    }
    stage_ = Stage::kAccumulate;
    return Progress::kAdvanced;
  }

  template <Warp W>
  SY_HOST_DEVICE Progress accumulate_chunk(W& warp) {
    const std::int32_t stop =
        end_token_ - token_ > args_->chunk_tokens ? token_ + args_->chunk_tokens : end_token_;
    // Two sums at a time: while one is made, the rows of the next are fetched.
    TokenSum sums[2];
    if (token_ < stop) {
      prepare(warp, token_, sums[0]);
    }
    for (int current = 0; token_ < stop; ++token_, current = 1 - current) {
      TokenSum* next = token_ + 1 < stop ? &sums[1 - current] : nullptr;
      if (next != nullptr) {
        prepare(warp, token_ + 1, *next);
      }
      warp.reduce_rows(sums[current].reduction,
                       args_->problem.copy_hint,
                       next == nullptr ? nullptr : &next->reduction);
      if (args_->problem.sums_topk_weights) {
        sum_topk_weights(warp);
      }
    }
    if (token_ == end_token_) {
      stage_ = Stage::kPublish;
    }
    return Progress::kAdvanced;
  }

  SY_HOST_DEVICE void read(std::int32_t token, TokenEntries& entries) const {
    entries.read(args_->entries(), token, args_->op.first_rank(), args_->op.peers.num_ranks);
  }
  SY_HOST_DEVICE const std::uint8_t* order_of(std::int32_t token) const {
    return args_->routing.terms + std::int64_t{token} * args_->problem.topk;
  }

  template <Warp W>
  SY_HOST_DEVICE void prepare(W& warp, std::int32_t token, TokenSum& sum) {
    TokenEntries entries;
    read(token, entries);
    begin_output(*args_, token, sum);
    contributions_.add_terms(warp, entries, order_of(token), args_->routing.num_terms[token], sum);
  }

  template <Warp W>
  SY_HOST_DEVICE void sum_topk_weights(W& warp) {
    TokenEntries entries;
    read(token_, entries);
    float sums[kMaxTopk] = {};
    contributions_.add_topk_weights(
        warp, entries, order_of(token_), args_->routing.num_terms[token_], sums);
    store_topk_weights(warp, *args_, token_, sums);
  }

  const CombineArgs* args_;
  std::int32_t channel_;
  NodeContributions contributions_;
  Stage stage_ = Stage::kAwaitPlacement;
  std::int32_t token_ = 0;
  std::int32_t end_token_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
