#include "benchmarks/mpi/mpi_combine.h"

#include "benchmarks/mpi/reduce_queue.h"
#include "benchmarks/mpi/to_size.h"
#include "csrc/targets/host/row_ops.h"

namespace switchyard::bench {

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
    leaving_.reserve(to_size(dispatch_.num_received()) * row_bytes_);
    if (dispatch_.plan().per_expert()) {
      gather_rows(outputs);
    } else {
      sum_per_token(outputs);
    }
    communicator_.exchange_rows(
        leaving_.data(), dispatch_.received(), arrived_.data(), sent, row_type_);
  }
  sum_arrived(outputs);
}

// Every received row has one expert.
void MpiCombine::gather_rows(const std::byte* outputs) {
  for (std::size_t slot = 0; slot < to_size(dispatch_.num_received()); ++slot) {
    const LandedExpert& expert = dispatch_.landed().experts(slot).front();
    std::byte* dst = leaving_.data() + slot * row_bytes_;
    host::copy_row(&dst,
                   1,
                   outputs + to_size(expert.row) * row_bytes_,
                   row_bytes_,
                   protocol::CopyHint::kStream);
  }
  host::stream_fence();  // the rows are read by other processes
}

// The received tokens of other ranks; this rank's own are summed where their sum ends.
void MpiCombine::sum_per_token(const std::byte* outputs) {
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
      sums.push(leaving_.data() + token * row_bytes_);
    }
  }
  sums.finish();
}

void MpiCombine::sum_arrived(const std::byte* outputs) {
  ReduceQueue sums(sum_form());
  for (int token = 0; token < num_tokens_; ++token) {
    std::vector<protocol::Term>& terms = sums.terms();
    const auto destinations = dispatch_.plan().destinations(token);
    for (std::size_t i = 0; i < destinations.size(); ++i) {
      const Destination& from = destinations[i];
      if (dispatch_.stays(from.rank)) {
        add_own_rows(outputs, from.ordinal, terms);
        continue;
      }
      const int slot = dispatch_.sent().first_rows[to_size(from.rank)] + from.ordinal;
      const bool last_of_rank =
          i + 1 == destinations.size() || destinations[i + 1].rank != from.rank;
      terms.push_back({arrived_.data() + to_size(slot) * row_bytes_, from.weight, last_of_rank});
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
