// Scale-up send of dispatch: reads each token of its share once and writes it to the row that each
// destination gave it, with its metadata; then tells every destination that this channel's rows are
// there. One per channel.
#pragma once

#include <cstdint>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/mailbox.h"

namespace switchyard::protocol {

class ScaleUpSend {
 public:
  static constexpr RoleKind kKind = RoleKind::kScaleUpSend;

  SY_HOST_DEVICE ScaleUpSend(const DispatchArgs* args, int channel)
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
      case Stage::kSend:
        return send_chunk(warp);
      case Stage::kPublish:
        return publish(warp);
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t { kAwaitPlacement, kSend, kPublish, kDone };

  /// Rows of one token, gathered before they are written with one read.
  struct Destinations {
    std::byte* payload[kMaxTopk];
    std::byte* scales[kMaxTopk];
    std::int32_t payload_rank[kMaxTopk];
    std::int32_t payload_row[kMaxTopk];
    int count = 0;
  };

  template <Warp W>
  SY_HOST_DEVICE Progress await_placement(W& warp) {
    // Pairs with CountExchange::collect_answers and collect_permits: regions and bases are written.
    const Word placed = warp.load_acquire(&args_->op.flags->placed);
    if (placed == 0) {
      wait_ = {WaitKind::kLocalRole, -1, channel_, 1, placed};
      return Progress::kBlocked;
    }
    stage_ = Stage::kSend;
    return Progress::kAdvanced;
  }

  template <Warp W>
  SY_HOST_DEVICE Progress send_chunk(W& warp) {
    const std::int32_t stop =
        end_token_ - token_ > args_->chunk_tokens ? token_ + args_->chunk_tokens : end_token_;
    for (; token_ < stop; ++token_) {
      send_token(warp);
    }
    if (token_ == end_token_) {
      stage_ = Stage::kPublish;
    }
    return Progress::kAdvanced;
  }

  template <Warp W>
  SY_HOST_DEVICE void send_token(W& warp) {
    const DispatchProblem& problem = args_->problem;
    const std::int64_t first = std::int64_t{token_} * problem.topk;
    Destinations to;
    for (int k = 0; k < problem.topk; ++k) {
      if (args_->routing.opener[first + k] == k) {
        add_row(warp, first, k, to);
      }
    }
    if (to.count == 0) {
      return;
    }
    const std::byte* x =
        args_->input.x + static_cast<std::uint64_t>(token_) * args_->input.x_stride;
    if (problem.quantize != ScaleFormat::kNone) {
      const Quantization row{nullptr, nullptr, x, problem.hidden, problem.quantize};
      warp.quantize_row(row, to.payload, to.scales, to.count, problem.copy_hint);
      return;
    }
    warp.copy_row(to.payload, to.count, x, problem.packet.payload_bytes, problem.copy_hint);
    if (args_->input.scales != nullptr) {
      const auto* scales = reinterpret_cast<const std::uint32_t*>(
          args_->input.scales + static_cast<std::uint64_t>(token_) * args_->input.scales_stride);
      for (int i = 0; i < to.count; ++i) {
        warp.store_words(to.scales[i], scales, args_->input.scales_words);
      }
    }
  }

  /// Writes the metadata of the row that entry `k` opens, and adds it to those that get the payload
  /// from here.
  template <Warp W>
  SY_HOST_DEVICE void add_row(W& warp, std::int64_t first, int k, Destinations& to) {
    const DispatchProblem& problem = args_->problem;
    const std::int32_t expert = args_->routing.expert[first + k];
    const std::int32_t rank = expert / problem.experts_per_rank;
    const std::int32_t base =
        problem.row_per_expert() ? args_->placement.base[expert] : args_->placement.base[rank];
    const std::int32_t row = base + args_->routing.ordinal[first + k];
    const LandingLayout landing = args_->landing_of(args_->placement.rows_of_rank[rank]);
    std::byte* region = args_->op.peers.at(rank, args_->placement.region_of_rank[rank]);

    std::int32_t payload_row = row;
    if (problem.expert_copies == ExpertCopies::kByReceiver) {
      for (int i = 0; i < to.count; ++i) {
        payload_row = to.payload_rank[i] == rank ? to.payload_row[i] : payload_row;
      }
    }
    if (payload_row == row) {
      const auto place = static_cast<std::uint64_t>(row);
      to.payload[to.count] = region + landing.payload_offset(place);
      to.scales[to.count] = region + landing.scales_offset(place);
      to.payload_rank[to.count] = rank;
      to.payload_row[to.count] = row;
      ++to.count;
    }
    write_metadata(warp,
                   region + landing.metadata_offset(static_cast<std::uint64_t>(row)),
                   {args_->op.peers.rank, token_, k, payload_row},
                   first);
  }

  template <Warp W>
  SY_HOST_DEVICE void write_metadata(W& warp,
                                     std::byte* destination,
                                     const MetadataHeader& header,
                                     std::int64_t first) {
    const PacketLayout& packet = args_->problem.packet;
    constexpr std::uint32_t kWord = sizeof(std::uint32_t);
    const std::uint32_t num_words = packet.metadata_bytes() / kWord;
    std::uint32_t words[kMaxMetadataBytes / kWord];
    words[0] = static_cast<std::uint32_t>(header.source_rank);
    words[1] = static_cast<std::uint32_t>(header.source_token);
    words[2] = static_cast<std::uint32_t>(header.topk_slot);
    words[3] = static_cast<std::uint32_t>(header.payload_row);
    std::uint32_t* indices = words + packet.indices_offset() / kWord;
    std::uint32_t* weights = words + packet.weights_offset() / kWord;
    for (std::uint32_t* word = weights; word < words + num_words; ++word) {
      *word = 0;
    }
    if (args_->problem.row_per_expert()) {
      write_entry(indices, local_expert(first, header.topk_slot, header.topk_slot));
      weights[0] = float_bits(row_weight(first, header.topk_slot));
    } else {
      write_entries(indices, weights, first, header.topk_slot);
    }
    warp.store_words(destination, words, num_words);
  }

  /// An index of the caller's type, low word first.
  SY_HOST_DEVICE void write_entry(std::uint32_t* index, std::int32_t local) const {
    index[0] = static_cast<std::uint32_t>(local);
    if (args_->problem.packet.index_bytes == sizeof(std::int64_t)) {
      index[1] = sign_word(local);
    }
  }

  /// Rank-major: every entry of the token, as the row's rank sees it. Plain loops, which vectorise.
  SY_HOST_DEVICE void write_entries(std::uint32_t* indices,
                                    std::uint32_t* weights,
                                    std::int64_t first,
                                    int slot) const {
    const int topk = args_->problem.topk;
    std::int32_t local[kMaxTopk];
    for (int k = 0; k < topk; ++k) {
      local[k] = local_expert(first, k, slot);
    }
    if (args_->problem.packet.index_bytes == sizeof(std::int64_t)) {
      for (int k = 0; k < topk; ++k) {
        indices[2 * k] = static_cast<std::uint32_t>(local[k]);
        indices[2 * k + 1] = sign_word(local[k]);
      }
    } else {
      for (int k = 0; k < topk; ++k) {
        indices[k] = static_cast<std::uint32_t>(local[k]);
      }
    }
    if (args_->routing.weight != nullptr) {
      for (int k = 0; k < topk; ++k) {
        weights[k] = local[k] < 0 ? 0U : float_bits(args_->routing.weight[first + k]);
      }
    }
  }

  /// The upper half of a 64-bit index: its sign, as two's complement goes on.
  SY_HOST_DEVICE static std::uint32_t sign_word(std::int32_t local) {
    return static_cast<std::uint32_t>(local >> 31);
  }

  /// Entry k's expert as its rank counts them, or -1 when it lives elsewhere than the row.
  SY_HOST_DEVICE std::int32_t local_expert(std::int64_t first, int k, int slot) const {
    const std::int32_t rank = args_->routing.rank[first + slot];
    const std::int32_t local =
        args_->routing.expert[first + k] - rank * args_->problem.experts_per_rank;
    return args_->routing.rank[first + k] == rank ? local : -1;
  }

  /// Weight of the row of one expert that entry k opens: the sum over the entries that share it.
  SY_HOST_DEVICE float row_weight(std::int64_t first, int k) const {
    if (args_->routing.weight == nullptr) {
      return 0.0F;
    }
    float weight = args_->routing.weight[first + k];
    if (args_->routing.has_duplicates) {
      for (int j = k + 1; j < args_->problem.topk; ++j) {
        if (args_->routing.opener[first + j] == k) {
          weight += args_->routing.weight[first + j];
        }
      }
    }
    return weight;
  }

  SY_HOST_DEVICE static std::uint32_t float_bits(float value) {
    union {
      float number;
      std::uint32_t bits;
    } pun = {value};
    return pun.bits;
  }

  template <Warp W>
  SY_HOST_DEVICE Progress publish(W& warp) {
    for (int peer = 0; peer < args_->op.peers.num_ranks; ++peer) {
      if (args_->routing.rows_per_rank[peer] == 0) {
        continue;
      }
      // Names the landing, so that rows put elsewhere are never taken for arrived.
      const std::uint64_t region = args_->placement.region_of_rank[peer] / kRegionUnit;
      // Pairs with ScaleUpReceive::await_source: every row and its metadata.
      warp.store_release(args_->op.progress_at(peer, channel_),
                         make_word(args_->op.epoch, static_cast<std::uint32_t>(region)));
    }
    stage_ = Stage::kDone;
    return Progress::kDone;
  }

  const DispatchArgs* args_;
  std::int32_t channel_;
  Stage stage_ = Stage::kAwaitPlacement;
  std::int32_t token_ = 0;
  std::int32_t end_token_ = 0;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
