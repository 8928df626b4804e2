// Combine as one would write it over MPI. With Plan::kPlain every expert's row is packed in its
// source's order, goes back with MPI_Alltoallv, and the token's rank weights and adds them up. With
// Plan::kDedup rows of a token's experts on one rank are summed there before they travel, and rows
// that stay here are never sent. Rank-major rows are sent from where they lie by both. The sums are
// those of the library's row operations, in the contract's order.
#pragma once

#include <vector>

#include "benchmarks/common/aligned_buffer.h"
#include "benchmarks/common/workload.h"
#include "benchmarks/mpi/communicator.h"
#include "benchmarks/mpi/mpi_dispatch.h"
#include "csrc/protocol/row_math.h"
#include "switchyard/tensor.h"

namespace switchyard::bench {

class MpiCombine {
 public:
  /// `dispatch` outlives this and has run before run() is called.
  MpiCombine(const Communicator& communicator,
             const Workload& workload,
             const MpiDispatch& dispatch,
             int num_tokens);

  /// The whole operation, from expert outputs to sums.
  /// Called by: every rank
  /// Shapes: outputs [num_rows of the dispatch, hidden] of combine_dtype, contiguous
  void run(const std::byte* outputs);

  [[nodiscard]] TensorView out() const;

 private:
  [[nodiscard]] bool rank_major() const { return workload_.layout == Layout::kRankMajor; }
  void gather_rows(const std::byte* outputs);
  void sum_per_token(const std::byte* outputs);
  void sum_arrived(const std::byte* outputs);
  void add_own_rows(const std::byte* outputs,
                    int ordinal,
                    std::vector<protocol::Term>& terms) const;
  [[nodiscard]] protocol::Reduction sum_form() const;

  const Communicator& communicator_;
  Workload workload_;
  const MpiDispatch& dispatch_;
  int num_tokens_;
  std::size_t row_bytes_;
  RowType row_type_;
  AlignedBuffer leaving_;  // one row for each received row, but for rank-major
  AlignedBuffer arrived_;  // one row for each row that was sent
  AlignedBuffer out_;
};

}  // namespace switchyard::bench
