// Dispatch as one would write it over MPI: pack rows per destination rank, exchange counts,
// MPI_Alltoallv, unpack into the layout. Both rivals are written to be fast: rank-major rows are
// received where they belong, and the other layouts move a row and its note in one message. With
// Plan::kDedup a token goes once to each rank, and rows that stay here go to their place without
// being packed; with Plan::kPlain every row of the layout takes the whole way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "benchmarks/common/aligned_buffer.h"
#include "benchmarks/common/token_data.h"
#include "benchmarks/common/verifier.h"
#include "benchmarks/common/workload.h"
#include "benchmarks/mpi/communicator.h"
#include "benchmarks/mpi/landed_tokens.h"
#include "benchmarks/mpi/send_plan.h"

namespace switchyard::bench {

class MpiDispatch {
 public:
  MpiDispatch(const Communicator& communicator,
              const Workload& workload,
              const RankInputs& inputs,
              Plan plan);

  /// The whole operation, from top-k indices to landed rows. Called by: every rank
  void run();

  /// The landed rows of the last run, valid until the next.
  [[nodiscard]] DispatchViews views() const;
  [[nodiscard]] TensorView x() const;

  /// Rows from this rank to `rank` do not travel.
  [[nodiscard]] bool stays(int rank) const {
    return rank == communicator_.rank() && !plan_.sends_own();
  }

  // What a combine needs of the last run.
  [[nodiscard]] const SendPlan& plan() const { return plan_; }
  [[nodiscard]] const RowCounts& sent() const { return sent_; }  ///< without rows that stay here
  [[nodiscard]] const RowCounts& received() const {
    return received_;
  }  ///< likewise, with a gap for those
  [[nodiscard]] int num_received() const {
    return num_received_;
  }  ///< rows, with those that stay here
  [[nodiscard]] const LandedTokens& landed() const { return landed_; }  ///< empty for rank-major
  [[nodiscard]] std::int64_t num_rows() const { return num_rows_; }

 private:
  [[nodiscard]] bool rank_major() const { return workload_.layout == Layout::kRankMajor; }
  [[nodiscard]] bool quantized() const { return workload_.quantize != Quantize::kNone; }
  // Parts of a packet in the exchange buffers. Rank-major payloads travel apart from the rest.
  [[nodiscard]] std::byte* packed_payload(int slot) const;
  [[nodiscard]] std::byte* packed_side(int slot) const;
  [[nodiscard]] std::byte* received_payload(int slot) const;
  [[nodiscard]] std::byte* received_side(int slot) const;
  [[nodiscard]] TokenNote received_note(int slot) const {
    return {received_side(slot) + note_at_, num_note_entries_};
  }

  void exchange_counts();
  void reserve_exchange();
  void pack();
  void pack_token(int token, std::vector<std::byte*>& payloads);
  void pack_side(int token,
                 const Destination& destination,
                 const std::byte* scales,
                 std::byte* side);
  void exchange();
  void place_rows();
  void unpack();
  void unpack_row(int source, int slot);
  void zero_padding();
  void unpack_rank_major(int source, int slot);
  void store_metadata(std::int64_t row, int source, int slot);

  const Communicator& communicator_;
  Workload workload_;
  const RankInputs& inputs_;
  SendPlan plan_;
  std::size_t payload_bytes_;
  std::size_t scale_bytes_;
  std::size_t note_at_;  // in the side: scales come first
  int num_note_entries_;
  std::size_t side_bytes_;
  std::size_t entries_;  // top-k entries of each landed row
  RowType payload_type_;
  RowType side_type_;
  RowType packet_type_;
  const std::byte* carried_scales_;

  RowCounts sent_;
  RowCounts received_;
  std::vector<int> rows_from_;  // [num_ranks], this rank too
  int num_received_ = 0;
  LandedTokens landed_;
  std::int64_t num_rows_ = 0;

  AlignedBuffer send_payloads_;  // rank-major: payloads; else whole packets
  AlignedBuffer send_sides_;     // rank-major
  AlignedBuffer recv_packets_;   // rank-major: sides; else whole packets
  AlignedBuffer quantized_row_;
  AlignedBuffer quantized_scales_;
  AlignedBuffer x_;
  AlignedBuffer scales_;
  std::vector<std::int64_t> topk_idx_;
  std::vector<float> topk_weights_;
  std::vector<std::int32_t> source_rank_;
  std::vector<std::int32_t> source_token_;
};

}  // namespace switchyard::bench
