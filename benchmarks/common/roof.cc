#include "benchmarks/common/roof.h"

#include <fmt/format.h>

#include <cstring>

#include "benchmarks/common/fold_rows.h"
#include "csrc/targets/host/row_ops.h"
#include "switchyard/error.h"

namespace switchyard::bench {

namespace {

template <class Pointer>
void check_bases(std::string_view name,
                 const Reference& reference,
                 std::span<Pointer const> bases) {
  if (bases.size() != static_cast<std::size_t>(reference.workload().num_ranks)) {
    throw InvalidArgument(fmt::format("roof: {}: got {} addresses, wanted one for each of {} ranks",
                                      name,
                                      bases.size(),
                                      reference.workload().num_ranks));
  }
}

struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
};

Range share_of(std::size_t num_items, int share, int num_shares) {
  const auto bound = [&](int idx) {
    return num_items * static_cast<std::size_t>(idx) / static_cast<std::size_t>(num_shares);
  };
  return {bound(share), bound(share + 1)};
}

}  // namespace

DispatchRoof::DispatchRoof(const Reference& reference,
                           const ConstTensorView& x,
                           std::span<std::byte* const> landed)
    : row_bytes_(reference.workload().landed_row_bytes()) {
  check_bases("landed", reference, landed);
  const std::byte* src = static_cast<const std::byte*>(x.data);
  for (int token = 0; token < reference.num_tokens(); ++token) {
    const auto contributions = reference.contributions(token);
    if (!contributions.empty()) {  // a token without experts is not read either
      rows_.push_back({src, dsts_.size(), static_cast<int>(contributions.size())});
    }
    for (const Contribution& row : contributions) {
      dsts_.push_back(landed[static_cast<std::size_t>(row.rank)] +
                      static_cast<std::size_t>(row.row) * row_bytes_);
    }
    src += x.row_stride_bytes();
  }
}

void DispatchRoof::run(RoofCopy copy, int share, int num_shares) const {
  const Range range = share_of(rows_.size(), share, num_shares);
  for (std::size_t row_idx = range.begin; row_idx < range.end; ++row_idx) {
    const Row& row = rows_[row_idx];
    std::byte* const* dsts = dsts_.data() + row.first_dst;
    if (copy == RoofCopy::kStreaming) {
      host::copy_row(dsts, row.num_dsts, row.src, row_bytes_, protocol::CopyHint::kStream);
      continue;
    }
    for (int i = 0; i < row.num_dsts; ++i) {
      std::memcpy(dsts[i], row.src, row_bytes_);
    }
  }
  host::stream_fence();
}

std::int64_t DispatchRoof::bytes_written() const {
  return static_cast<std::int64_t>(dsts_.size() * row_bytes_);
}

CombineRoof::CombineRoof(const Reference& reference,
                         std::span<const std::byte* const> outputs,
                         const TensorView& out)
    : row_bytes_(reference.workload().combine_row_bytes()),
      out_(static_cast<std::byte*>(out.data)),
      out_stride_(out.row_stride_bytes()) {
  check_bases("outputs", reference, outputs);
  first_src_.push_back(0);
  for (int token = 0; token < reference.num_tokens(); ++token) {
    for (const Contribution& row : reference.contributions(token)) {
      srcs_.push_back(outputs[static_cast<std::size_t>(row.rank)] +
                      static_cast<std::size_t>(row.row) * row_bytes_);
    }
    first_src_.push_back(srcs_.size());
  }
}

Fold CombineRoof::fold_of(std::size_t token) const {
  return {out_ + token * out_stride_,
          srcs_.data() + first_src_[token],
          first_src_[token + 1] - first_src_[token],
          row_bytes_};
}

void CombineRoof::run(RoofCopy copy, int share, int num_shares) const {
  std::vector<std::byte> scratch(row_bytes_);
  const Range range = share_of(first_src_.size() - 1, share, num_shares);
  for (std::size_t token = range.begin; token < range.end; ++token) {
    const Fold fold = fold_of(token);
    if (copy == RoofCopy::kStreaming) {
      const bool last = token + 1 == range.end;
      const Fold next = last ? Fold{} : fold_of(token + 1);
      fold_rows(fold, last ? nullptr : &next);
      continue;
    }
    for (std::size_t i = 0; i < fold.num_rows; ++i) {
      std::memcpy(scratch.data(), fold.rows[i], row_bytes_);
    }
    std::memcpy(fold.dst, scratch.data(), row_bytes_);
  }
  host::stream_fence();
}

std::int64_t CombineRoof::bytes_read() const {
  return static_cast<std::int64_t>(srcs_.size() * row_bytes_);
}

std::int64_t CombineRoof::bytes_written() const {
  return static_cast<std::int64_t>((first_src_.size() - 1) * row_bytes_);
}

}  // namespace switchyard::bench
