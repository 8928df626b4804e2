// The expert-output rows of this node that belong to one token, as terms of its sum: where they lie,
// what they weigh, in which order. For this rank's own tokens, and for those of a rank of another
// node that it stands for.
#pragma once

#include <cstdint>

#include "csrc/protocol/combine_args.h"
#include "csrc/protocol/token_entries.h"
#include "csrc/routing/entry_codes.h"

namespace switchyard::protocol {

/// The description of one sum and the rows it names. Stays where it is until the sum is made.
struct TokenSum {
  Term terms[kMaxTerms];
  Reduction reduction;

  SY_HOST_DEVICE void begin(const CombineProblem& problem, std::byte* dst) {
    reduction = Reduction{};
    reduction.dst = dst;
    reduction.terms = terms;
    reduction.num_elems = problem.hidden;
    reduction.dtype = problem.dtype;
  }
  SY_HOST_DEVICE void add(const Term& term) {
    terms[reduction.num_terms++] = term;
    reduction.weighted = reduction.weighted || term.weight != 1.0F;
  }
};

class NodeContributions {
 public:
  /// For the tokens that come from `node`.
  SY_HOST_DEVICE NodeContributions(const CombineArgs* args, int node)
      : args_(args),
        base_(args->contributions.base + std::int64_t{node} * args->bases_per_node()) {}

  /// Adds the rows of a token in the order of `order` (Route::terms). The last one closes its node.
  template <Warp W>
  SY_HOST_DEVICE void add_terms(W& warp,
                                const TokenEntries& entries,
                                const std::uint8_t* order,
                                int num_terms,
                                TokenSum& sum) const {
    for (int i = 0; i < num_terms; ++i) {
      Term term = make_term(warp, entries, order[i] & ~routing::kClosesGroup);
      term.closes_group = (order[i] & routing::kClosesGroup) != 0;
      term.closes_node = i + 1 == num_terms;
      sum.add(term);
    }
  }

  /// Adds row_topk_weights over the same rows in the same order, position by position. Where a row
  /// belongs to one expert it holds one weight, which goes to every entry that shares the row.
  /// Shapes: sums [topk] fp32, changed
  template <Warp W>
  SY_HOST_DEVICE void add_topk_weights(W& warp,
                                       const TokenEntries& entries,
                                       const std::uint8_t* order,
                                       int num_terms,
                                       float* sums) const {
    const bool per_expert = args_->problem.row_per_expert;
    for (int k = 0; k < entries.num; ++k) {
      for (int i = 0; i < num_terms; ++i) {
        const int opener = order[i] & ~routing::kClosesGroup;
        if (!per_expert || entries.opener[k] == opener) {
          sums[k] += load_topk_weight(warp, entries, opener, per_expert ? 0 : k);
        }
      }
    }
  }

 private:
  SY_HOST_DEVICE std::uint64_t row_of(const TokenEntries& entries, int k) const {
    const std::int32_t rank = entries.rank[k];
    const std::int32_t unit = args_->problem.row_per_expert
                                  ? rank * args_->problem.experts_per_rank + entries.local[k]
                                  : rank;
    return static_cast<std::uint64_t>(base_[unit] + entries.ordinal[k]);
  }

  template <Warp W>
  SY_HOST_DEVICE Term make_term(W& warp, const TokenEntries& entries, int k) const {
    const std::int32_t rank = entries.rank[k];
    const std::uint64_t row = row_of(entries, k);
    const Contributions& from = args_->contributions;
    Term term;
    term.row = args_->op.peers.at(rank, from.rows_at[rank] + row * args_->problem.row_bytes);
    if (from.row_weights_at[rank] != 0) {
      term.weight = warp.load_float(
          reinterpret_cast<const float*>(args_->op.peers.at(rank, from.row_weights_at[rank])) +
          row);
    }
    if (entries.weighted) {
      term.weight *= entries.row_weight(k);
    }
    return term;
  }

  template <Warp W>
  SY_HOST_DEVICE float load_topk_weight(W& warp,
                                        const TokenEntries& entries,
                                        int opener,
                                        int column) const {
    const std::int32_t rank = entries.rank[opener];
    const std::uint64_t at = args_->contributions.row_topk_weights_at[rank];
    const std::uint64_t index =
        row_of(entries, opener) * args_->problem.num_entries + static_cast<std::uint64_t>(column);
    return at == 0 ? 0.0F
                   : warp.load_float(reinterpret_cast<const float*>(args_->op.peers.at(rank, at)) +
                                     index);
  }

  const CombineArgs* args_;
  const std::int32_t* base_;
};

/// The caller's memory for a token's sum, with its biases.
SY_HOST_DEVICE inline void begin_output(const CombineArgs& args,
                                        std::int32_t token,
                                        TokenSum& sum) {
  const CombineOutput& output = args.output;
  const auto row = static_cast<std::uint64_t>(token);
  std::byte* out = output.region_bytes == 0 ? output.out : args.op.peers.local(*output.region);
  sum.begin(args.problem, out + row * output.out_stride);
  sum.reduction.num_biases = output.num_biases;
  for (int i = 0; i < output.num_biases; ++i) {
    sum.reduction.biases[i] = output.biases[i] + row * output.bias_strides[i];
  }
}

/// Stores a token's summed top-k weights.
template <Warp W>
SY_HOST_DEVICE void store_topk_weights(W& warp,
                                       const CombineArgs& args,
                                       std::int32_t token,
                                       const float* sums) {
  const std::uint64_t first =
      static_cast<std::uint64_t>(token) * static_cast<std::uint64_t>(args.problem.topk);
  warp.store_words(args.output.topk_weights + first * sizeof(float),
                   reinterpret_cast<const std::uint32_t*>(sums),
                   static_cast<std::uint32_t>(args.problem.topk));
}

/// Tells every rank of this node that the rows of `source` are read, by one channel.
template <Warp W>
SY_HOST_DEVICE void publish_rows_read(W& warp, const OperationArgs& op, int channel, int source) {
  for (int peer = 0; peer < op.peers.num_ranks; ++peer) {
    const MessageCheck check = op.check(MessageKind::kProgress, source, op.rank_of(peer));
    // Pairs with CombineAnnounce::await_readers: the peer's rows are read and may be overwritten.
    warp.store_release(op.progress_at(peer, channel, source),
                       op.progress_word(check, channel, kRowsRead));
  }
}

}  // namespace switchyard::protocol
