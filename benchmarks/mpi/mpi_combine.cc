#include "benchmarks/mpi/mpi_combine.h"

#include "benchmarks/mpi/reduce_queue.h"

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
}

// The received tokens of other ranks; this rank's own are summed where their sum ends.
void MpiCombine::sum_per_token(const std::byte* outputs) {
  partial_sums_.reserve(to_size(dispatch_.num_received()) * row_bytes_);
  ReduceQueue sums(sum_form());
  const RowCounts& received = dispatch_.received();
  for (std::size_t source = 0; source < received.counts.size(); ++source) {
    const auto first = to_size(received.first_rows[source]);
    for (std::size_t token = first; token < first + to_size(received.counts[source]); ++token) {
      std::vector<protocol::Term>& terms = sums.terms();
      for (const LandedExpert& expert : dispatch_.landed().experts(token)) {
        terms.push_back({outputs + to_size(expert.row) * row_bytes_, expert.weight, false});
      }
      terms.back().closes_group = true;
      sums.push(partial_sums_.data() + token * row_bytes_);
    }
  }
  sums.finish();
}

void MpiCombine::sum_arrived(const std::byte* outputs) {
  ReduceQueue sums(sum_form());
  for (int token = 0; token < num_tokens_; ++token) {
    std::vector<protocol::Term>& terms = sums.terms();
    for (const Destination& destination : dispatch_.plan().destinations(token)) {
      if (destination.rank == communicator_.rank()) {
        add_own_rows(outputs, destination.ordinal, terms);
        continue;
      }
      const int slot = dispatch_.sent().first_rows[to_size(destination.rank)] + destination.ordinal;
      terms.push_back({arrived_.data() + to_size(slot) * row_bytes_, 1.0F, true});
    }
    sums.push(out_.data() + to_size(token) * row_bytes_);
  }
  sums.finish();
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

protocol::Reduction MpiCombine::sum_form() const {
  protocol::Reduction form;
  form.num_elems = static_cast<std::uint32_t>(workload_.hidden);
  form.dtype = workload_.combine_dtype();
  form.weighted = workload_.weighted_combine();
  return form;
}

TensorView MpiCombine::out() const {
  return {out_.data(), workload_.combine_dtype(), {num_tokens_, workload_.hidden}};
}

}  // namespace switchyard::bench
