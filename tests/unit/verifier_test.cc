// The verifier passes what is right and catches every kind of wrong. The results under judgement
// are made by the library's row operations, whose arithmetic the verifier does not share.
#include "benchmarks/common/verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/common/row_access.h"
#include "benchmarks/common/token_data.h"
#include "csrc/targets/host/row_ops.h"

namespace switchyard::bench {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kRank = 1;

Workload small_workload(Layout layout) {
  Workload workload;
  workload.num_ranks = 4;
  workload.tokens = 12;
  workload.hidden = 160;
  workload.topk = 4;
  workload.num_experts = 16;
  workload.layout = layout;
  workload.expert_alignment = 4;
  workload.max_tokens = 16;
  workload.routing = "masked";
  return workload;
}

// A right dispatch result, to be spoiled.
class FakeDispatch {
 public:
  explicit FakeDispatch(std::shared_ptr<const Reference> reference)
      : reference_(std::move(reference)),
        workload_(reference_->workload()),
        entries_(workload_.layout == Layout::kRankMajor ? workload_.topk : 1),
        num_rows_(reference_->rows().size()),
        x_(num_rows_ * workload_.landed_row_bytes()),
        scales_(num_rows_ * workload_.landed_scale_bytes()),
        topk_idx_(num_rows_ * static_cast<std::size_t>(entries_), -1),
        topk_weights_(topk_idx_.size()),
        source_rank_(num_rows_),
        source_token_(num_rows_) {
    for (std::size_t row = 0; row < num_rows_; ++row) {
      if (reference_->rows()[row].source_rank >= 0) {
        fill_row(row, reference_->rows()[row]);
      }
    }
  }

  DispatchViews views() {
    const auto rows = static_cast<std::int64_t>(num_rows_);
    DispatchViews views;
    views.x = {x_.data(), workload_.landed_dtype(), {rows, workload_.hidden}};
    if (workload_.landed_scale_bytes() > 0) {
      const DType dtype = workload_.landed_scales() == protocol::ScaleFormat::kFp32
                              ? DType::kFp32
                              : DType::kUe8m0x4;
      views.scales = {scales_.data(),
                      dtype,
                      {rows, static_cast<std::int64_t>(workload_.landed_scale_bytes() / 4)}};
    }
    views.topk_idx = {topk_idx_.data(), DType::kInt64, {rows, entries_}};
    views.topk_weights = {topk_weights_.data(), DType::kFp32, {rows, entries_}};
    views.source_rank = {source_rank_.data(), DType::kInt32, {rows}};
    views.source_token = {source_token_.data(), DType::kInt32, {rows}};
    views.num_rows = rows;
    views.rows_from_rank = reference_->rows_from_rank();
    views.rows_per_expert = reference_->rows_per_expert();
    views.rows_per_expert_and_rank = reference_->rows_per_expert_and_rank();
    views.expert_offsets = reference_->expert_offsets();
    views.row_of_entry = reference_->row_of_entry();
    views.rank_of_entry = reference_->rank_of_entry();
    return views;
  }

  std::byte* row(std::size_t index) { return x_.data() + index * workload_.landed_row_bytes(); }
  std::vector<std::byte>& scales() { return scales_; }
  std::vector<float>& topk_weights() { return topk_weights_; }
  std::vector<std::int64_t>& topk_idx() { return topk_idx_; }
  std::vector<std::int32_t>& source_token() { return source_token_; }

 private:
  void fill_row(std::size_t row, const LandedRow& landed) {
    const TokenId id{landed.source_rank, landed.token};
    std::byte* scales = scales_.data() + row * workload_.landed_scale_bytes();
    if (workload_.quantize == Quantize::kNone) {
      fill_token_row(token_format(workload_), id, this->row(row));
      fill_token_scales(token_format(workload_), workload_.carried_scales, id, scales);
    } else {
      std::vector<std::byte> wide(workload_.row_bytes());
      fill_token_row(token_format(workload_), id, wide.data());
      host::quantize_row({this->row(row),
                          scales,
                          wide.data(),
                          static_cast<std::uint32_t>(workload_.hidden),
                          workload_.landed_scales()});
    }
    source_rank_[row] = landed.source_rank;
    source_token_[row] = landed.token;
    const RankRouting& routing =
        reference_->all_routing()[static_cast<std::size_t>(landed.source_rank)];
    for (int k = 0; k < workload_.topk; ++k) {
      const auto entry = static_cast<std::size_t>(landed.token * workload_.topk + k);
      const std::int64_t expert = routing.topk_idx[entry];
      if (expert < 0 || expert / workload_.experts_per_rank() != kRank) {
        continue;
      }
      const std::int64_t local = expert % workload_.experts_per_rank();
      const auto place = row * static_cast<std::size_t>(entries_) +
                         static_cast<std::size_t>(entries_ == 1 ? 0 : k);
      if (entries_ > 1 || local == landed.local_expert) {
        topk_idx_[place] = local;
        topk_weights_[place] += routing.topk_weights[entry];
      }
    }
  }

  std::shared_ptr<const Reference> reference_;
  const Workload& workload_;
  int entries_;
  std::size_t num_rows_;
  std::vector<std::byte> x_;
  std::vector<std::byte> scales_;
  std::vector<std::int64_t> topk_idx_;
  std::vector<float> topk_weights_;
  std::vector<std::int32_t> source_rank_;
  std::vector<std::int32_t> source_token_;
};

std::shared_ptr<const Reference> reference_of(const Workload& workload, int rank = kRank) {
  return std::make_shared<const Reference>(workload, rank, make_all_routing(workload));
}

// The first two rows that hold something.
std::vector<std::size_t> used_rows(const Reference& reference) {
  std::vector<std::size_t> used;
  for (std::size_t row = 0; row < reference.rows().size(); ++row) {
    if (reference.rows()[row].source_rank >= 0) {
      used.push_back(row);
    }
  }
  return used;
}

class VerifierOfLayout : public ::testing::TestWithParam<Layout> {
 protected:
  std::shared_ptr<const Reference> reference_ = reference_of(small_workload(GetParam()));
  FakeDispatch result_{reference_};
  std::vector<std::size_t> used_ = used_rows(*reference_);

  [[nodiscard]] VerifyReport check() {
    return Verifier(reference_).check_dispatch(result_.views());
  }
};

TEST_P(VerifierOfLayout, PassesARightDispatch) {
  const VerifyReport report = check();
  EXPECT_TRUE(report.ok()) << report.first;
  EXPECT_EQ(report.rows_checked, reference_->num_landed());
  EXPECT_GE(report.bytes_checked, reference_->num_landed() * 320);
}

TEST_P(VerifierOfLayout, CatchesAFlippedByte) {
  result_.row(used_[3])[101] ^= std::byte{0x10};
  const VerifyReport report = check();
  EXPECT_EQ(report.mismatches, 1);
  EXPECT_THAT(
      report.first,
      AllOf(HasSubstr("rank 1 row " + std::to_string(used_[3]) + " "), HasSubstr("x byte 101")));
}

TEST_P(VerifierOfLayout, CatchesSwappedRows) {
  std::swap_ranges(result_.row(used_[0]), result_.row(used_[0]) + 320, result_.row(used_[1]));
  EXPECT_EQ(check().mismatches, 2);
}

TEST_P(VerifierOfLayout, CatchesAMissingRow) {
  std::fill_n(result_.row(used_[2]), 320, std::byte{0xff});
  EXPECT_EQ(check().mismatches, 1);
}

TEST_P(VerifierOfLayout, CatchesAWrongWeight) {
  auto& weights = result_.topk_weights();
  const auto entries = weights.size() / reference_->rows().size();
  weights[used_[1] * entries] += 0.25F;
  EXPECT_THAT(check().first, HasSubstr("topk_weights"));
}

TEST_P(VerifierOfLayout, CatchesAWrongIndex) {
  auto& indices = result_.topk_idx();
  const auto entries = indices.size() / reference_->rows().size();
  indices[used_[1] * entries] += 1;
  EXPECT_THAT(check().first, HasSubstr("topk_idx"));
}

TEST_P(VerifierOfLayout, CatchesAWrongToken) {
  result_.source_token()[used_[4]] += 1;
  EXPECT_THAT(check().first, HasSubstr("source_token"));
}

TEST_P(VerifierOfLayout, CatchesAWrongCount) {
  std::vector<std::int32_t> counts(reference_->rows_per_expert().begin(),
                                   reference_->rows_per_expert().end());
  counts[2] += 1;
  DispatchViews views = result_.views();
  views.rows_per_expert = counts;
  const VerifyReport report = Verifier(reference_).check_dispatch(views);
  EXPECT_THAT(report.first, HasSubstr("rows_per_expert[2]"));
}

TEST_P(VerifierOfLayout, CatchesAMissingRowOfATensorThatIsTooShort) {
  DispatchViews views = result_.views();
  views.x.shape[0] -= 1;
  EXPECT_THAT(Verifier(reference_).check_dispatch(views).first, HasSubstr("x: got bf16"));
}

INSTANTIATE_TEST_SUITE_P(Verifier,
                         VerifierOfLayout,
                         ::testing::Values(Layout::kRankMajor,
                                           Layout::kExpertMajor,
                                           Layout::kPadded),
                         [](const auto& instance) {
                           std::string name = layout_name(instance.param);
                           std::erase(name, '-');
                           return name;
                         });

TEST(Verifier, LooksAtPaddingOnlyWhenItMustBeZero) {
  Workload workload = small_workload(Layout::kExpertMajor);
  for (const bool zero_padding : {false, true}) {
    workload.zero_padding = zero_padding;
    const auto reference = reference_of(workload);
    FakeDispatch result(reference);
    std::size_t padding = 0;
    while (reference->rows()[padding].source_rank >= 0) {
      ++padding;
    }
    EXPECT_TRUE(Verifier(reference).check_dispatch(result.views()).ok());
    result.row(padding)[7] = std::byte{1};
    EXPECT_EQ(Verifier(reference).check_dispatch(result.views()).ok(), !zero_padding);
  }
}

TEST(Verifier, ChecksScalesThatAreCarriedOrMade) {
  Workload carried = small_workload(Layout::kRankMajor);
  carried.dtype = DType::kFp8E4m3;
  carried.carried_scales = protocol::ScaleFormat::kFp32;
  Workload fp32 = small_workload(Layout::kPadded);
  fp32.quantize = Quantize::kFp8ScalesFp32;
  Workload ue8m0 = fp32;
  ue8m0.quantize = Quantize::kFp8ScalesUe8m0;
  for (const Workload& workload : {carried, fp32, ue8m0}) {
    const auto reference = reference_of(workload);
    FakeDispatch result(reference);
    const VerifyReport report = Verifier(reference).check_dispatch(result.views());
    EXPECT_TRUE(report.ok()) << workload.to_string() << ": " << report.first;
    const std::size_t row = used_rows(*reference)[5];
    result.scales()[row * workload.landed_scale_bytes() + 1] ^= std::byte{1};
    EXPECT_THAT(Verifier(reference).check_dispatch(result.views()).first,
                HasSubstr("scales byte 1"));
  }
}

TEST(Verifier, ReadsRowsThatLieApart) {
  const auto reference = reference_of(small_workload(Layout::kRankMajor));
  FakeDispatch result(reference);
  DispatchViews views = result.views();
  std::vector<std::int32_t> apart(reference->rows().size() * 4);
  for (std::size_t row = 0; row < reference->rows().size(); ++row) {
    apart[row * 4] = reference->rows()[row].token;
  }
  views.source_token = {apart.data(), DType::kInt32, {views.num_rows}};
  views.source_token.strides[0] = 4;
  EXPECT_TRUE(Verifier(reference).check_dispatch(views).ok());
  apart[4] += 1;
  EXPECT_FALSE(Verifier(reference).check_dispatch(views).ok());
}

// The outputs of all ranks' experts, and their sums by the library's row operations.
class FakeCombine {
 public:
  explicit FakeCombine(const Workload& workload)
      : workload_(workload), reference_(reference_of(workload)) {
    for (int rank = 0; rank < workload.num_ranks; ++rank) {
      const auto reference = reference_of(workload, rank);
      const auto num_rows = static_cast<std::int64_t>(reference->rows().size());
      auto& rows =
          outputs_.emplace_back(static_cast<std::size_t>(num_rows) * workload.combine_row_bytes());
      fill_expert_rows(*reference,
                       {rows.data(), workload.combine_dtype(), {num_rows, workload.hidden}});
    }
    out_.resize(static_cast<std::size_t>(workload.tokens) * workload.combine_row_bytes());
  }

  void sum() {
    for (int token = 0; token < workload_.tokens; ++token) {
      std::vector<protocol::Term> terms;
      for (const Contribution& row : reference_->contributions(token)) {
        const std::byte* rows = outputs_[static_cast<std::size_t>(row.rank)].data();
        terms.push_back({rows + static_cast<std::size_t>(row.row) * workload_.combine_row_bytes(),
                         row.weight,
                         row.closes_group});
      }
      protocol::Reduction reduction;
      reduction.dst = out_.data() + static_cast<std::size_t>(token) * workload_.combine_row_bytes();
      reduction.terms = terms.data();
      reduction.num_terms = static_cast<std::int32_t>(terms.size());
      reduction.num_elems = static_cast<std::uint32_t>(workload_.hidden);
      reduction.dtype = workload_.combine_dtype();
      reduction.weighted = workload_.weighted_combine();
      host::reduce_rows(reduction, protocol::CopyHint::kKeep);
    }
  }

  [[nodiscard]] VerifyReport check() {
    return Verifier(reference_)
        .check_combine(
            {out_.data(), workload_.combine_dtype(), {workload_.tokens, workload_.hidden}});
  }

  std::vector<std::byte>& out() { return out_; }

 private:
  Workload workload_;
  std::shared_ptr<const Reference> reference_;
  std::vector<std::vector<std::byte>> outputs_;
  std::vector<std::byte> out_;
};

TEST(Verifier, AgreesWithTheRowOperationsOnEverySum) {
  for (const Layout layout : {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded}) {
    for (const DType dtype : {DType::kBf16, DType::kFp16, DType::kFp32, DType::kFp8E4m3}) {
      Workload workload = small_workload(layout);
      workload.dtype = dtype;
      FakeCombine result(workload);
      result.sum();
      const VerifyReport report = result.check();
      EXPECT_TRUE(report.ok()) << workload.to_string() << ": " << report.first;
      EXPECT_EQ(report.rows_checked, workload.tokens);
    }
  }
}

TEST(Verifier, CatchesASumThatIsOffByOneBit) {
  FakeCombine result(small_workload(Layout::kExpertMajor));
  result.sum();
  result.out()[5 * 320 + 12] ^= std::byte{1};
  const VerifyReport report = result.check();
  EXPECT_EQ(report.mismatches, 1);
  EXPECT_THAT(report.first, AllOf(HasSubstr("rank 1 token 5"), HasSubstr("byte 12")));
}

TEST(Verifier, CatchesASumThatWasNeverWritten) {
  FakeCombine result(small_workload(Layout::kRankMajor));
  result.sum();
  poison({result.out().data(), DType::kBf16, {12, 160}});
  EXPECT_EQ(result.check().mismatches, 12);
}

TEST(GuardedRows, SeesWritesOutsideTheRowsInUse) {
  GuardedRows rows(DType::kBf16, 6, 24);
  EXPECT_TRUE(rows.check_untouched(0).ok());
  auto* data = static_cast<std::byte*>(rows.view().data);
  data[4 * 48 - 1] = std::byte{0};
  EXPECT_TRUE(rows.check_untouched(4).ok());
  EXPECT_THAT(rows.check_untouched(3).first, HasSubstr("byte 191 "));
  data[6 * 48] = std::byte{0};
  EXPECT_THAT(rows.check_untouched(4).first, HasSubstr("byte 288 "));
  rows.poison_all();
  data[-1] = std::byte{0};
  EXPECT_THAT(rows.check_untouched(6).first, HasSubstr("byte -1 "));
}

}  // namespace
}  // namespace switchyard::bench
