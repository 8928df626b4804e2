// Writes the rows of tokens to the ranks of this node: each payload is read once and written to the
// row that each destination gave it, with its metadata. For this rank's own tokens, and for those of
// a rank of another node that it stands for.
#pragma once

#include <cstdint>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/row_metadata.h"

namespace switchyard::protocol {

/// Where a token's payload and scales lie.
struct TokenRow {
  const std::byte* payload = nullptr;
  const std::uint32_t* scales = nullptr;  ///< null: none, or made by quantisation
  ScaleFormat quantize = ScaleFormat::kNone;
};

class RowSender {
 public:
  /// For the tokens that come from `node`, on one channel.
  SY_HOST_DEVICE RowSender(const DispatchArgs* args, int channel, int node)
      : args_(args),
        channel_(channel),
        source_(args->op.rail_peer(node)),
        base_(args->placement.base_of(node,
                                      args->op.peers.num_ranks * args->problem.bases_per_rank())),
        metadata_(args, channel, node) {}

  template <Warp W>
  SY_HOST_DEVICE void send(W& warp, const TokenEntries& entries, const TokenRow& token) const {
    const DispatchProblem& problem = args_->problem;
    Destinations to;
    for (int k = 0; k < entries.num; ++k) {
      if (entries.opens(k)) {
        add_row(warp, entries, k, place_of(entries, k), to);
      }
    }
    if (to.count == 0) {
      return;
    }
    if (token.quantize != ScaleFormat::kNone) {
      const Quantization row{nullptr, nullptr, token.payload, problem.hidden, token.quantize};
      warp.quantize_row(row, to.payload, to.scales, to.count, problem.copy_hint);
      return;
    }
    warp.copy_row(
        to.payload, to.count, token.payload, problem.packet.payload_bytes, problem.copy_hint);
    if (token.scales != nullptr) {
      for (int i = 0; i < to.count; ++i) {
        warp.store_words(to.scales[i], token.scales, args_->input.scales_words);
      }
    }
  }

  /// Has the places of a token's metadata fetched while another one's rows are copied.
  template <Warp W>
  SY_HOST_DEVICE void expect(W& warp, const TokenEntries& entries) const {
    for (int k = 0; k < entries.num; ++k) {
      if (entries.opens(k)) {
        std::byte* metadata = place_of(entries, k).metadata();
        warp.expect_words(metadata);
        warp.expect_words(metadata + args_->problem.packet.metadata_bytes() - 1);
      }
    }
  }

  /// Tells `peer` that this channel's rows of the source are there.
  template <Warp W>
  SY_HOST_DEVICE void publish(W& warp, int peer) const {
    // Names the landing, so that rows put elsewhere are never taken for arrived.
    const std::uint64_t region = args_->placement.region_of_rank[peer] / kRegionUnit;
    const MessageCheck check =
        args_->op.check(MessageKind::kProgress, source_, args_->op.rank_of(peer));
    // Pairs with ScaleUpReceive::await_source: every row and its metadata.
    warp.store_release(args_->op.progress_at(peer, channel_, source_),
                       args_->op.progress_word(check, channel_, region));
  }

  /// Stores the metadata that was gathered for each destination.
  template <Warp W>
  SY_HOST_DEVICE void flush(W& warp) const {
    for (int peer = 0; peer < args_->op.peers.num_ranks && !args_->problem.row_per_expert();
         ++peer) {
      metadata_.store_run(warp, peer);
    }
  }

 private:
  /// Rows of one token, gathered before they are written with one read.
  struct Destinations {
    std::byte* payload[kMaxTopk];
    std::byte* scales[kMaxTopk];
    std::int32_t payload_rank[kMaxTopk];
    std::int32_t payload_row[kMaxTopk];
    int count = 0;
  };

  /// Where the row goes that entry `k` opens.
  SY_HOST_DEVICE RowPlace place_of(const TokenEntries& entries, int k) const {
    const std::int32_t rank = entries.rank[k];
    const std::int32_t unit = args_->problem.row_per_expert()
                                  ? rank * args_->problem.experts_per_rank + entries.local[k]
                                  : rank;
    return {rank,
            base_[unit] + entries.ordinal[k],
            args_->landing_of(args_->placement.rows_of_rank[rank]),
            args_->op.peers.at(rank, args_->placement.region_of_rank[rank])};
  }

  /// Writes the metadata of the row that entry `k` opens, and adds it to those that get the payload
  /// from here.
  template <Warp W>
  SY_HOST_DEVICE void add_row(
      W& warp, const TokenEntries& entries, int k, const RowPlace& place, Destinations& to) const {
    const DispatchProblem& problem = args_->problem;
    const std::int32_t rank = place.rank;
    const std::int32_t row = place.row;
    std::int32_t payload_row = row;
    if (problem.expert_copies == ExpertCopies::kByReceiver) {
      for (int i = 0; i < to.count; ++i) {
        payload_row = to.payload_rank[i] == rank ? to.payload_row[i] : payload_row;
      }
    }
    if (payload_row == row) {
      const auto row_idx = static_cast<std::uint64_t>(row);
      to.payload[to.count] = place.region + place.landing.payload_offset(row_idx);
      to.scales[to.count] = place.region + place.landing.scales_offset(row_idx);
      to.payload_rank[to.count] = rank;
      to.payload_row[to.count] = row;
      ++to.count;
    }
    if (problem.row_per_expert()) {
      metadata_.store(warp, entries, k, place, payload_row);
    } else {
      metadata_.append(warp, entries, place);
    }
  }

  const DispatchArgs* args_;
  std::int32_t channel_;
  std::int32_t source_;
  const std::int32_t* base_;
  MetadataWriter metadata_;
};

}  // namespace switchyard::protocol
