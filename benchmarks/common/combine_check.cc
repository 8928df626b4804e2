// The part of the verifier that judges a combine.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "benchmarks/common/row_access.h"
#include "benchmarks/common/scalar_math.h"
#include "benchmarks/common/token_data.h"
#include "benchmarks/common/verifier.h"

namespace switchyard::bench {

namespace {

// One output row, summed as CombineRequest states.
class CombineSum {
 public:
  explicit CombineSum(const Workload& workload)
      : workload_(workload),
        dtype_(workload.combine_dtype()),
        row_(workload.combine_row_bytes()),
        terms_(static_cast<std::size_t>(workload.hidden)),
        group_(terms_.size()),
        sum_(terms_.size()) {}

  void add_up(std::span<const Contribution> contributions, TokenId id, std::byte* dst) {
    const std::size_t n = sum_.size();
    std::fill(sum_.begin(), sum_.end(), 0.0F);
    bool opens_group = true;
    for (const Contribution& contribution : contributions) {
      load_term(contribution, id);
      if (opens_group) {
        group_.swap(terms_);
      } else {
        add(group_, terms_);
      }
      if (contribution.closes_group) {
        const bool already_rounded = opens_group && !workload_.weighted_combine();
        if (!already_rounded) {
          store_floats(dtype_, group_.data(), n, row_.data());
          load_floats(dtype_, row_.data(), n, group_.data());
        }
        add(sum_, group_);
      }
      opens_group = contribution.closes_group;
    }
    store_floats(dtype_, sum_.data(), n, dst);
  }

 private:
  static void add(std::vector<float>& sum, const std::vector<float>& addend) {
    for (std::size_t i = 0; i < sum.size(); ++i) {
      sum[i] += addend[i];
    }
  }

  void load_term(const Contribution& contribution, TokenId id) {
    fill_expert_row(expert_format(workload_), id, contribution.producer, row_.data());
    load_floats(dtype_, row_.data(), terms_.size(), terms_.data());
    if (workload_.weighted_combine()) {
      for (float& term : terms_) {
        term *= contribution.weight;
      }
    }
  }

  const Workload& workload_;
  DType dtype_;
  std::vector<std::byte> row_;
  std::vector<float> terms_, group_, sum_;
};

}  // namespace

VerifyReport Verifier::check_combine(const ConstTensorView& out) const {
  const Workload& workload = reference_->workload();
  VerifyReport report;
  const WantedRows wanted{
      "out", workload.combine_dtype(), reference_->num_tokens(), workload.hidden};
  const Rows rows = open_rows(report, out, wanted, reference_->rank());
  if (!report.ok()) {
    return report;
  }
  CombineSum sum(workload);
  std::vector<std::byte> expected(workload.combine_row_bytes());
  for (int token = 0; token < reference_->num_tokens(); ++token) {
    sum.add_up(reference_->contributions(token), {reference_->rank(), token}, expected.data());
    ++report.rows_checked;
    report.bytes_checked += static_cast<std::int64_t>(rows.bytes);
    const std::byte* got = rows.at(static_cast<std::size_t>(token));
    if (std::memcmp(got, expected.data(), rows.bytes) != 0) {
      const std::byte* differs = std::mismatch(got, got + rows.bytes, expected.data()).first;
      note_mismatch(
          report,
          fmt::format("rank {} token {}: sum of {} rows, byte {}: got {:#04x}, wanted {:#04x}",
                      reference_->rank(),
                      token,
                      reference_->contributions(token).size(),
                      differs - got,
                      static_cast<unsigned>(*differs),
                      static_cast<unsigned>(expected[static_cast<std::size_t>(differs - got)])));
    }
  }
  return report;
}

}  // namespace switchyard::bench
