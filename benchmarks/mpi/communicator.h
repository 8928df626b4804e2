// The few collectives that the rival uses.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace switchyard::bench {

/// How many rows go to, or come from, each rank, and where each rank's rows begin.
/// Units: rows.
/// Shapes: both [num_ranks]
struct RowCounts {
  std::vector<int> counts;
  std::vector<int> first_rows;
};

/// The MPI type of rows of one size, so that counts and places are rows and stay within int. Owns
/// it.
class RowType {
 public:
  explicit RowType(std::size_t row_bytes);
  RowType(const RowType&) = delete;
  RowType& operator=(const RowType&) = delete;
  ~RowType();

  [[nodiscard]] MPI_Datatype type() const { return type_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

/// MPI from start to end, on all ranks of the job. One per process.
class Communicator {
 public:
  Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  ~Communicator();

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int num_ranks() const { return num_ranks_; }

  void barrier() const;
  /// One int to each rank, one from each (MPI_Alltoall).
  void exchange_counts(std::span<const int> to, std::span<int> from) const;
  /// Rows to and from each rank (MPI_Alltoallv).
  void exchange_rows(const std::byte* send,
                     const RowCounts& to,
                     std::byte* recv,
                     const RowCounts& from,
                     const RowType& row) const;

  /// Element by element, the largest of all ranks; the result is on rank 0.
  [[nodiscard]] std::vector<double> largest(const std::vector<double>& mine) const;
  /// True on rank 0 when `mine` is true on all ranks.
  [[nodiscard]] bool all_true(bool mine) const;

  /// Ends all ranks at once, from any of them.
  [[noreturn]] void abort(int exit_code) const;

  [[nodiscard]] static std::string library_version();

 private:
  int rank_ = 0;
  int num_ranks_ = 1;
};

}  // namespace switchyard::bench
