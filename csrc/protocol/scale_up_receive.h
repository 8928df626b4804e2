// Scale-up receive of dispatch: sees the rows of each source arrive, holds their metadata against
// its check, and does what is left to do with them here: the copies for a token's other local
// experts, the caller's own memory, zeroed alignment rows. One per channel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/dispatch_args.h"
#include "csrc/protocol/mailbox.h"
#include "csrc/protocol/row_ranges.h"

namespace switchyard::protocol {

class ScaleUpReceive {
 public:
  static constexpr RoleKind kKind = RoleKind::kScaleUpReceive;

  SY_HOST_DEVICE ScaleUpReceive(const DispatchArgs* args, int channel)
      : args_(args), channel_(channel) {}

  template <Warp W>
  SY_HOST_DEVICE Progress step(W& warp) {
    if (operation_failed(warp, args_->op)) {
      return Progress::kDone;
    }
    switch (stage_) {
      case Stage::kAwaitCounts:
        return await_counts(warp);
      case Stage::kZeroPadding:
        return zero_padding(warp);
      case Stage::kAwaitSource:
        return await_source(warp);
      case Stage::kFinishRows:
        return finish_rows(warp);
      case Stage::kDone:
        break;
    }
    return Progress::kDone;
  }

  SY_HOST_DEVICE const WaitPoint& wait() const { return wait_; }

 private:
  enum class Stage : std::uint8_t { kAwaitCounts, kZeroPadding, kAwaitSource, kFinishRows, kDone };

  SY_HOST_DEVICE int num_sources() const { return args_->op.num_sources(); }

  SY_HOST_DEVICE RowRuns runs() const {
    const bool per_expert = args_->problem.row_per_expert();
    return {per_expert ? args_->landing.counts_from : args_->landing.rows_from,
            args_->landing.base_from,
            args_->problem.bases_per_rank()};
  }

  SY_HOST_DEVICE LandingLayout landing() const {
    return args_->landing_of(*args_->landing.num_rows);
  }
  SY_HOST_DEVICE std::byte* region() const { return args_->op.peers.local(*args_->landing.region); }

  template <Warp W>
  SY_HOST_DEVICE Progress await_counts(W& warp) {
    // Pairs with CountExchange::collect_counts and collect_answers: counts, bases and region are
    // written.
    const Word counted = warp.load_acquire(&args_->op.flags->counted);
    if (counted == 0) {
      wait_ = {WaitKind::kLocalRole, -1, channel_, 1, counted};
      return Progress::kBlocked;
    }
    const bool pads = args_->problem.layout == Layout::kExpertMajor && args_->problem.zero_padding;
    stage_ = pads ? Stage::kZeroPadding : Stage::kAwaitSource;
    expert_ = channel_;
    return Progress::kAdvanced;
  }

  /// Zeroes the alignment rows behind one expert's rows.
  template <Warp W>
  SY_HOST_DEVICE Progress zero_padding(W& warp) {
    const std::int32_t experts = args_->problem.experts_per_rank;
    if (expert_ >= experts) {
      stage_ = Stage::kAwaitSource;
      return Progress::kAdvanced;
    }
    const std::int32_t last = num_sources() - 1;
    const std::int64_t used = std::int64_t{args_->landing.base_from[last * experts + expert_]} +
                              args_->landing.counts_from[last * experts + expert_];
    for (std::int64_t row = used; row < args_->landing.expert_offsets[expert_ + 1]; ++row) {
      zero_row(warp, static_cast<std::uint64_t>(row));
    }
    expert_ += args_->op.num_channels;
    return Progress::kAdvanced;
  }

  template <Warp W>
  SY_HOST_DEVICE void zero_row(W& warp, std::uint64_t row) {
    const PacketLayout& packet = args_->problem.packet;
    warp.zero_row(region() + landing().payload_offset(row), packet.payload_bytes);
    warp.zero_row(region() + landing().scales_offset(row), packet.scales_bytes);
    warp.zero_row(region() + landing().metadata_offset(row), packet.metadata_bytes());
    if (args_->output.x != nullptr) {
      warp.zero_row(args_->output.x + row * args_->output.x_stride, packet.payload_bytes);
    }
    if (args_->output.scales != nullptr) {
      warp.zero_row(args_->output.scales + row * args_->output.scales_stride,
                    std::size_t{args_->input.scales_words} * sizeof(std::uint32_t));
    }
  }

  /// A source's rows are there when each of its channels has published them.
  template <Warp W>
  SY_HOST_DEVICE Progress await_source(W& warp) {
    for (; source_ < num_sources(); ++source_) {
      if (args_->landing.rows_from[source_] == 0) {
        continue;
      }
      const std::uint64_t here = *args_->landing.region / kRegionUnit;
      for (; source_channel_ < args_->op.num_channels; ++source_channel_) {
        const Word wanted = args_->op.progress_word(
            args_->op.check(MessageKind::kProgress, source_, args_->op.self()),
            source_channel_,
            here);
        // Pairs with RowSender::publish for that source and channel.
        const Word seen = warp.load_acquire(args_->op.progress_from(source_, source_channel_));
        if (word_tag(seen) != args_->op.epoch) {
          wait_ = {WaitKind::kRows, args_->op.waits_for(source_), channel_, wanted, seen};
          return Progress::kBlocked;
        }
        if (seen != wanted) {
          return fail(warp);
        }
      }
      source_channel_ = 0;
      const Share share =
          share_of(args_->landing.rows_from[source_], channel_, args_->op.num_channels);
      walk_.start(runs(), source_, share.begin, share.end);
      stage_ = Stage::kFinishRows;
      return Progress::kAdvanced;
    }
    stage_ = Stage::kDone;
    return Progress::kDone;
  }

  template <Warp W>
  SY_HOST_DEVICE Progress fail(W& warp) {
    fail_corrupt(warp, args_->op, source_);
    return Progress::kDone;
  }

  SY_HOST_DEVICE bool copies_here() const {
    return args_->problem.row_per_expert() &&
           args_->problem.expert_copies == ExpertCopies::kByReceiver;
  }
  SY_HOST_DEVICE bool has_work() const { return copies_here() || args_->output.x != nullptr; }

  template <Warp W>
  SY_HOST_DEVICE Progress finish_rows(W& warp) {
    walk_.advance(runs(), args_->chunk_tokens, [&](std::int64_t first, std::int64_t rows) {
      corrupt_ = corrupt_ || !metadata_is_intact(warp, first, rows);
      for (std::int64_t row = first; row < first + rows && has_work() && !corrupt_; ++row) {
        finish_row(warp, static_cast<std::uint64_t>(row));
      }
    });
    if (corrupt_) {
      return fail(warp);
    }
    if (walk_.done()) {
      ++source_;
      stage_ = Stage::kAwaitSource;
    }
    return Progress::kAdvanced;
  }

  /// Whether the metadata of neighbours from this source is what it wrote.
  template <Warp W>
  SY_HOST_DEVICE bool metadata_is_intact(W& warp, std::int64_t first, std::int64_t rows) {
    const auto* words = reinterpret_cast<const std::uint32_t*>(
        region() + landing().metadata_offset(static_cast<std::uint64_t>(first)));
    const std::uint32_t words_per_row =
        args_->problem.packet.metadata_bytes() / std::uint32_t{sizeof(std::uint32_t)};
    const auto num_rows = static_cast<std::uint32_t>(rows);
    return warp.sum_words(words, num_rows * words_per_row) ==
           num_rows * args_->op.metadata_sum(source_);
  }

  template <Warp W>
  SY_HOST_DEVICE void finish_row(W& warp, std::uint64_t row) {
    const LandingLayout place = landing();
    std::uint64_t payload_row = row;
    if (copies_here()) {
      const auto* header =
          reinterpret_cast<const std::uint32_t*>(region() + place.metadata_offset(row));
      payload_row =
          warp.load_word(header + offsetof(MetadataHeader, payload_row) / sizeof(std::uint32_t));
      if (payload_row >= place.num_rows) {
        corrupt_ = true;  // a source's metadata names a row that is not here
        return;
      }
    }
    const bool to_output = args_->output.x != nullptr;
    std::byte* payload[2] = {region() + place.payload_offset(row), nullptr};
    std::byte* scales[2] = {region() + place.scales_offset(row), nullptr};
    const std::byte* from = region() + place.payload_offset(payload_row);
    const std::byte* scales_from = region() + place.scales_offset(payload_row);
    int first = payload_row == row ? 1 : 0;
    int end = 1;
    if (to_output) {
      payload[1] = args_->output.x + row * args_->output.x_stride;
      scales[1] = args_->output.scales == nullptr
                      ? nullptr
                      : args_->output.scales + row * args_->output.scales_stride;
      end = 2;
    }
    if (first < end) {
      warp.copy_row(payload + first,
                    end - first,
                    from,
                    args_->problem.packet.payload_bytes,
                    args_->problem.copy_hint);
    }
    for (; first < end; ++first) {
      if (args_->input.scales_words != 0 && scales[first] != nullptr) {
        warp.store_words(scales[first],
                         reinterpret_cast<const std::uint32_t*>(scales_from),
                         args_->input.scales_words);
      }
    }
  }

  const DispatchArgs* args_;
  std::int32_t channel_;
  Stage stage_ = Stage::kAwaitCounts;
  std::int32_t source_ = 0;
  std::int32_t source_channel_ = 0;
  std::int32_t expert_ = 0;
  bool corrupt_ = false;
  RowWalk walk_;
  WaitPoint wait_;
};

}  // namespace switchyard::protocol
