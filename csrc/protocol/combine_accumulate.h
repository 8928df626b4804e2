// Receive-and-accumulate of combine: pulls the contributions to each token of its share from the
// ranks that hold them and sums them in the contract's order: one read per contribution, one write
// per token. One per channel.
#pragma once

#include <cstdint>

#include "csrc/protocol/combine_args.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/routing/entry_codes.h"

namespace switchyard::protocol {

class CombineAccumulate {
 public:
  static constexpr RoleKind kKind = RoleKind::kCombineAccumulate;

  SY_HOST_DEVICE CombineAccumulate(const CombineArgs* args, int channel)
      : args_(args), channel_(channel) {
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
        return publish(warp);
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t { kAwaitPlacement, kAccumulate, kPublish, kDone };

  /// The description of one sum and the rows it names.
  struct TokenSum {
    Term terms[kMaxTerms];
    Reduction reduction;
  };

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
        sum_topk_weights(warp, std::int64_t{token_} * args_->problem.topk);
      }
    }
    if (token_ == end_token_) {
      stage_ = Stage::kPublish;
    }
    return Progress::kAdvanced;
  }

  /// Describes the sum of one token. `sum` stays where it is until the sum is made.
  template <Warp W>
  SY_HOST_DEVICE void prepare(W& warp, std::int32_t token, TokenSum& sum) {
    const std::int64_t first = std::int64_t{token} * args_->problem.topk;
    const auto row = static_cast<std::uint64_t>(token);
    Reduction& reduction = sum.reduction;
    reduction = Reduction{};
    reduction.dst = out_base() + row * args_->output.out_stride;
    reduction.terms = sum.terms;
    reduction.num_terms = args_->routing.num_terms[token];
    for (int i = 0; i < reduction.num_terms; ++i) {
      const std::uint8_t term = args_->routing.terms[first + i];
      sum.terms[i] = make_term(warp, first, term & ~routing::kClosesGroup);
      sum.terms[i].closes_group = (term & routing::kClosesGroup) != 0;
      reduction.weighted = reduction.weighted || sum.terms[i].weight != 1.0F;
    }
    reduction.num_biases = args_->output.num_biases;
    for (int i = 0; i < reduction.num_biases; ++i) {
      reduction.biases[i] = args_->output.biases[i] + row * args_->output.bias_strides[i];
    }
    reduction.num_elems = args_->problem.hidden;
    reduction.dtype = args_->problem.dtype;
  }

  SY_HOST_DEVICE std::byte* out_base() const {
    const CombineOutput& output = args_->output;
    return output.region_bytes == 0 ? output.out : args_->op.peers.local(*output.region);
  }

  SY_HOST_DEVICE std::int32_t rank_of(std::int64_t entry) const {
    return args_->routing.rank[entry];
  }

  SY_HOST_DEVICE std::uint64_t row_of(std::int64_t entry) const {
    const std::int32_t unit =
        args_->problem.row_per_expert ? args_->routing.expert[entry] : rank_of(entry);
    return static_cast<std::uint64_t>(args_->contributions.base[unit] +
                                      args_->routing.ordinal[entry]);
  }

  template <Warp W>
  SY_HOST_DEVICE Term make_term(W& warp, std::int64_t first, int k) {
    const std::int32_t rank = rank_of(first + k);
    const std::uint64_t row = row_of(first + k);
    Term term;
    term.row = args_->op.peers.at(
        rank, args_->contributions.rows_at[rank] + row * args_->problem.row_bytes);
    const std::uint64_t weights_at = args_->contributions.row_weights_at[rank];
    if (weights_at != 0) {
      term.weight = warp.load_float(
          reinterpret_cast<const float*>(args_->op.peers.at(rank, weights_at)) + row);
    }
    if (args_->routing.topk_weights != nullptr) {
      term.weight *= entry_weight(first, k);
    }
    return term;
  }

  /// Weight of the row that entry k opens: the sum over the entries that share it.
  SY_HOST_DEVICE float entry_weight(std::int64_t first, int k) const {
    float weight = args_->routing.topk_weights[first + k];
    if (args_->routing.has_duplicates) {
      for (int j = k + 1; j < args_->problem.topk; ++j) {
        if (args_->routing.opener[first + j] == k) {
          weight += args_->routing.topk_weights[first + j];
        }
      }
    }
    return weight;
  }

  /// Sums row_topk_weights over the token's rows in the contract's order, position by position.
  /// Where a row belongs to one expert it holds one weight, which goes to every entry that shares
  /// the row.
  template <Warp W>
  SY_HOST_DEVICE void sum_topk_weights(W& warp, std::int64_t first) {
    const std::int32_t topk = args_->problem.topk;
    float sums[kMaxTopk];
    for (int k = 0; k < topk; ++k) {
      sums[k] = 0.0F;
      for (int i = 0; i < args_->routing.num_terms[token_]; ++i) {
        const int opener = args_->routing.terms[first + i] & ~routing::kClosesGroup;
        const bool shares = args_->routing.opener[first + k] == opener;
        if (args_->problem.row_per_expert && !shares) {
          continue;
        }
        sums[k] += load_topk_weight(warp, first + opener, args_->problem.row_per_expert ? 0 : k);
      }
    }
    warp.store_words(args_->output.topk_weights + static_cast<std::uint64_t>(first) * sizeof(float),
                     reinterpret_cast<const std::uint32_t*>(sums),
                     static_cast<std::uint32_t>(topk));
  }

  template <Warp W>
  SY_HOST_DEVICE float load_topk_weight(W& warp, std::int64_t entry, int column) {
    const std::int32_t rank = rank_of(entry);
    const std::uint64_t at = args_->contributions.row_topk_weights_at[rank];
    const std::uint64_t index =
        row_of(entry) * args_->problem.num_entries + static_cast<std::uint64_t>(column);
    return at == 0 ? 0.0F
                   : warp.load_float(reinterpret_cast<const float*>(args_->op.peers.at(rank, at)) +
                                     index);
  }

  template <Warp W>
  SY_HOST_DEVICE Progress publish(W& warp) {
    for (int peer = 0; peer < args_->op.peers.num_ranks; ++peer) {
      // Pairs with CombineAnnounce::await_readers: the peer's rows are read and may be overwritten.
      warp.store_release(
          args_->op.progress_at(peer, channel_),
          args_->op.progress_word(
              args_->op.check_to(peer, MessageKind::kProgress), channel_, kRowsRead));
    }
    stage_ = Stage::kDone;
    return Progress::kDone;
  }

  const CombineArgs* args_;
  std::int32_t channel_;
  Stage stage_ = Stage::kAwaitPlacement;
  std::int32_t token_ = 0;
  std::int32_t end_token_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
