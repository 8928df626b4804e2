#include "benchmarks/mpi/mpi_combine.h"

#include "csrc/targets/host/row_ops.h"

namespace switchyard::bench {

namespace {

std::size_t to_size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

}  // namespace

MpiCombine::MpiCombine(const Communicator& communicator,
                       const Workload& workload,
                       const MpiDispatch& dispatch,
                       int num_tokens)
    : communicator_(communicator),
      workload_(workload),
      dispatch_(dispatch),
      num_tokens_(num_tokens),
      row_bytes_(workload.combine_row_bytes()),
      row_type_(row_bytes_),
      out_(to_size(num_tokens) * row_bytes_) {}

void MpiCombine::run(const std::byte* outputs) {
  const RowCounts& sent = dispatch_.sent();
  arrived_.reserve(to_size(sent.first_rows.back() + sent.counts.back()) * row_bytes_);
  if (rank_major()) {
    communicator_.exchange_rows(outputs, dispatch_.received(), arrived_.data(), sent, row_type_);
  } else {
    sum_per_token(outputs);
    communicator_.exchange_rows(
        partial_sums_.data(), dispatch_.received(), arrived_.data(), sent, row_type_);
  }
  sum_arrived(outputs);
  host::stream_fence();
}

// The received tokens of other ranks; this rank's own are summed where their sum ends.
void MpiCombine::sum_per_token(const std::byte* outputs) {
  partial_sums_.reserve(to_size(dispatch_.num_received()) * row_bytes_);
  std::vector<protocol::Term> terms;
  const RowCounts& received = dispatch_.received();
  for (std::size_t source = 0; source < received.counts.size(); ++source) {
    const auto first = to_size(received.first_rows[source]);
    for (std::size_t token = first; token < first + to_size(received.counts[source]); ++token) {
      terms.clear();
      for (const LandedExpert& expert : dispatch_.landed().experts(token)) {
        terms.push_back({outputs + to_size(expert.row) * row_bytes_, expert.weight, false});
      }
      terms.back().closes_group = true;
      reduce(terms, partial_sums_.data() + token * row_bytes_);
    }
  }
  host::stream_fence();  // the sums are read by other processes
}

void MpiCombine::sum_arrived(const std::byte* outputs) {
  std::vector<protocol::Term> terms;
  for (int token = 0; token < num_tokens_; ++token) {
    terms.clear();
    for (const Destination& destination : dispatch_.plan().destinations(token)) {
      if (destination.rank == communicator_.rank()) {
        add_own_rows(outputs, destination.ordinal, terms);
        continue;
      }
      const int slot = dispatch_.sent().first_rows[to_size(destination.rank)] + destination.ordinal;
      terms.push_back({arrived_.data() + to_size(slot) * row_bytes_, 1.0F, true});
    }
    reduce(terms, out_.data() + to_size(token) * row_bytes_);
  }
}

void MpiCombine::add_own_rows(const std::byte* outputs,
                              int ordinal,
                              std::vector<protocol::Term>& terms) const {
  const int token = dispatch_.received().first_rows[to_size(communicator_.rank())] + ordinal;
  if (rank_major()) {
    terms.push_back({outputs + to_size(token) * row_bytes_, 1.0F, true});
    return;
  }
  for (const LandedExpert& expert : dispatch_.landed().experts(to_size(token))) {
    terms.push_back({outputs + to_size(expert.row) * row_bytes_, expert.weight, false});
  }
  terms.back().closes_group = true;
}

void MpiCombine::reduce(const std::vector<protocol::Term>& terms, std::byte* dst) const {
  protocol::Reduction reduction;
  reduction.dst = dst;
  reduction.terms = terms.data();
  reduction.num_terms = static_cast<std::int32_t>(terms.size());
  reduction.num_elems = static_cast<std::uint32_t>(workload_.hidden);
  reduction.dtype = workload_.combine_dtype();
  reduction.weighted = workload_.weighted_combine();
  host::reduce_rows(reduction, protocol::CopyHint::kStream);
}

TensorView MpiCombine::out() const {
  return {out_.data(), workload_.combine_dtype(), {num_tokens_, workload_.hidden}};
}

}  // namespace switchyard::bench
