// The part of the verifier that judges a dispatch.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "benchmarks/common/row_access.h"
#include "benchmarks/common/scalar_math.h"
#include "benchmarks/common/token_data.h"
#include "benchmarks/common/verifier.h"

namespace switchyard::bench {

namespace {

// [R] tensors as [R, 1].
ConstTensorView as_column(ConstTensorView view) {
  if (view.ndim >= 1 && view.ndim < kMaxTensorDims) {
    view.shape[static_cast<std::size_t>(view.ndim)] = 1;
    view.strides[static_cast<std::size_t>(view.ndim)] = 1;
    ++view.ndim;
  }
  return view;
}

// Walks the landed rows of one result and compares each with what it should hold.
class DispatchCheck {
 public:
  DispatchCheck(const Reference& reference, const DispatchViews& views, bool all_required)
      : reference_(reference),
        workload_(reference.workload()),
        views_(views),
        all_required_(all_required),
        source_row_(workload_.row_bytes()),
        landed_row_(workload_.landed_row_bytes()),
        landed_scales_(workload_.landed_scale_bytes()),
        entries_(workload_.layout == Layout::kRankMajor ? static_cast<std::size_t>(workload_.topk)
                                                        : 1),
        indices_(entries_),
        weights_(entries_) {}

  VerifyReport run() {
    check_counts();
    if (!open_tensors()) {
      return report_;
    }
    for (std::size_t row = 0; row < reference_.rows().size(); ++row) {
      const LandedRow& landed = reference_.rows()[row];
      if (landed.source_rank >= 0) {
        check_row(row, landed);
      } else if (workload_.layout == Layout::kExpertMajor && workload_.zero_padding &&
                 x_.compared()) {
        std::fill(landed_row_.begin(), landed_row_.end(), std::byte{0});
        compare(row, landed, "padding of x", x_, landed_row_.data());
      }
    }
    return report_;
  }

 private:
  template <class Count>
  void check_count(std::string_view name,
                   std::span<const Count> got,
                   std::span<const Count> wanted) {
    if (!all_required_ && got.empty()) {
      return;
    }
    report_.bytes_checked += static_cast<std::int64_t>(got.size_bytes());
    if (got.size() != wanted.size()) {
      note_mismatch(report_,
                    fmt::format("rank {}: {}: got {} values, wanted {}",
                                reference_.rank(),
                                name,
                                got.size(),
                                wanted.size()));
      return;
    }
    const auto [at, wanted_at] = std::mismatch(got.begin(), got.end(), wanted.begin());
    if (at != got.end()) {
      note_mismatch(report_,
                    fmt::format("rank {}: {}[{}]: got {}, wanted {}",
                                reference_.rank(),
                                name,
                                at - got.begin(),
                                *at,
                                *wanted_at));
    }
  }

  void check_counts() {
    const auto wanted_rows = static_cast<std::int64_t>(reference_.rows().size());
    if (views_.num_rows != wanted_rows) {
      note_mismatch(report_,
                    fmt::format("rank {}: num_rows: got {}, wanted {}",
                                reference_.rank(),
                                views_.num_rows,
                                wanted_rows));
    }
    check_count("rows_from_rank", views_.rows_from_rank, reference_.rows_from_rank());
    check_count("rows_per_expert", views_.rows_per_expert, reference_.rows_per_expert());
    check_count("rows_per_expert_and_rank",
                views_.rows_per_expert_and_rank,
                reference_.rows_per_expert_and_rank());
    check_count("expert_offsets", views_.expert_offsets, reference_.expert_offsets());
    check_count("row_of_entry", views_.row_of_entry, reference_.row_of_entry());
    check_count("rank_of_entry", views_.rank_of_entry, reference_.rank_of_entry());
  }

  Rows open(const ConstTensorView& view, std::string_view name, DType dtype, std::size_t columns) {
    if (!view.given() && !all_required_) {
      return {};
    }
    const auto rows = static_cast<std::int64_t>(reference_.rows().size());
    return open_rows(
        report_, view, {name, dtype, rows, static_cast<std::int64_t>(columns)}, reference_.rank());
  }

  // False when something that has to be compared has the wrong shape.
  bool open_tensors() {
    const std::int64_t before = report_.mismatches;
    const DType index_dtype =
        views_.topk_idx.dtype == DType::kInt32 ? DType::kInt32 : DType::kInt64;
    x_ = open(views_.x, "x", workload_.landed_dtype(), static_cast<std::size_t>(workload_.hidden));
    if (workload_.landed_scales() != protocol::ScaleFormat::kNone) {
      const DType dtype = workload_.landed_scales() == protocol::ScaleFormat::kFp32
                              ? DType::kFp32
                              : DType::kUe8m0x4;
      scales_ = open(views_.scales, "scales", dtype, landed_scales_.size() / dtype_bytes(dtype));
    }
    topk_idx_ = open(views_.topk_idx, "topk_idx", index_dtype, entries_);
    topk_weights_ = open(views_.topk_weights, "topk_weights", DType::kFp32, entries_);
    source_rank_ = open(as_column(views_.source_rank), "source_rank", DType::kInt32, 1);
    source_token_ = open(as_column(views_.source_token), "source_token", DType::kInt32, 1);
    return report_.mismatches == before;
  }

  void compare(std::size_t row,
               const LandedRow& landed,
               std::string_view name,
               const Rows& rows,
               const void* wanted) {
    if (!rows.compared()) {
      return;
    }
    report_.bytes_checked += static_cast<std::int64_t>(rows.bytes);
    const std::byte* got = rows.at(row);
    if (std::memcmp(got, wanted, rows.bytes) == 0) {
      return;
    }
    const auto* wanted_bytes = static_cast<const std::byte*>(wanted);
    const std::byte* differs = std::mismatch(got, got + rows.bytes, wanted_bytes).first;
    note_mismatch(
        report_,
        fmt::format(
            "rank {} row {} (source rank {} token {}): {} byte {}: got {:#04x}, wanted {:#04x}",
            reference_.rank(),
            row,
            landed.source_rank,
            landed.token,
            name,
            differs - got,
            static_cast<unsigned>(*differs),
            static_cast<unsigned>(wanted_bytes[differs - got])));
  }

  void check_row(std::size_t row, const LandedRow& landed) {
    ++report_.rows_checked;
    make_payload(landed);
    compare(row, landed, "x", x_, landed_row_.data());
    compare(row, landed, "scales", scales_, landed_scales_.data());
    make_metadata(landed);
    if (views_.topk_idx.dtype == DType::kInt32) {
      const std::vector<std::int32_t> narrow(indices_.begin(), indices_.end());
      compare(row, landed, "topk_idx", topk_idx_, narrow.data());
    } else {
      compare(row, landed, "topk_idx", topk_idx_, indices_.data());
    }
    compare(row, landed, "topk_weights", topk_weights_, weights_.data());
    compare(row, landed, "source_rank", source_rank_, &landed.source_rank);
    compare(row, landed, "source_token", source_token_, &landed.token);
  }

  void make_payload(const LandedRow& landed) {
    const RowFormat format = token_format(workload_);
    const TokenId id{landed.source_rank, landed.token};
    if (workload_.quantize == Quantize::kNone) {
      fill_token_row(format, id, landed_row_.data());
      fill_token_scales(format, workload_.carried_scales, id, landed_scales_.data());
      return;
    }
    fill_token_row(format, id, source_row_.data());
    quantize_reference({landed_row_.data(),
                        landed_scales_.data(),
                        source_row_.data(),
                        static_cast<std::uint32_t>(workload_.hidden),
                        workload_.landed_scales()});
  }

  void make_metadata(const LandedRow& landed) {
    const RankRouting& routing =
        reference_.all_routing()[static_cast<std::size_t>(landed.source_rank)];
    const auto topk = static_cast<std::size_t>(routing.topk);
    const std::size_t first = static_cast<std::size_t>(landed.token) * topk;
    const std::int64_t first_expert =
        std::int64_t{reference_.rank()} * workload_.experts_per_rank();
    if (landed.local_expert >= 0) {
      indices_[0] = landed.local_expert;
      weights_[0] = 0.0F;
      for (std::size_t k = 0; k < topk; ++k) {
        const bool same = routing.topk_idx[first + k] == first_expert + landed.local_expert;
        weights_[0] += same ? routing.topk_weights[first + k] : 0.0F;
      }
      return;
    }
    for (std::size_t k = 0; k < topk; ++k) {
      const std::int64_t local = routing.topk_idx[first + k] - first_expert;
      const bool here =
          routing.topk_idx[first + k] >= 0 && local >= 0 && local < workload_.experts_per_rank();
      indices_[k] = here ? local : -1;
      weights_[k] = here ? routing.topk_weights[first + k] : 0.0F;
    }
  }

  const Reference& reference_;
  const Workload& workload_;
  const DispatchViews& views_;
  bool all_required_;
  VerifyReport report_;
  Rows x_, scales_, topk_idx_, topk_weights_, source_rank_, source_token_;
  std::vector<std::byte> source_row_, landed_row_, landed_scales_;
  std::size_t entries_;
  std::vector<std::int64_t> indices_;
  std::vector<float> weights_;
};

}  // namespace

VerifyReport Verifier::check_dispatch(const DispatchViews& views) const {
  return DispatchCheck(*reference_, views, false).run();
}

VerifyReport Verifier::check_complete_dispatch(const DispatchViews& views) const {
  return DispatchCheck(*reference_, views, true).run();
}

}  // namespace switchyard::bench
