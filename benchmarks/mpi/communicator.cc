// Errors of MPI itself end the job: that is MPI's default, and a benchmark has nothing better to
// do.
#include "benchmarks/mpi/communicator.h"

#include <cstdlib>

namespace switchyard::bench {

RowType::RowType(std::size_t row_bytes) : bytes_(row_bytes) {
  MPI_Type_contiguous(static_cast<int>(row_bytes), MPI_BYTE, &type_);
  MPI_Type_commit(&type_);
}

RowType::~RowType() {
  MPI_Type_free(&type_);
}

Communicator::Communicator() {
  MPI_Init(nullptr, nullptr);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &num_ranks_);
}

Communicator::~Communicator() {
  MPI_Finalize();
}

void Communicator::barrier() const {
  MPI_Barrier(MPI_COMM_WORLD);
}

void Communicator::exchange_counts(std::span<const int> to, std::span<int> from) const {
  MPI_Alltoall(to.data(), 1, MPI_INT, from.data(), 1, MPI_INT, MPI_COMM_WORLD);
}

void Communicator::exchange_rows(const std::byte* send,
                                 const RowCounts& to,
                                 std::byte* recv,
                                 const RowCounts& from,
                                 const RowType& row) const {
  MPI_Alltoallv(send,
                to.counts.data(),
                to.first_rows.data(),
                row.type(),
                recv,
                from.counts.data(),
                from.first_rows.data(),
                row.type(),
                MPI_COMM_WORLD);
}

std::vector<double> Communicator::largest(const std::vector<double>& mine) const {
  std::vector<double> all(mine.size());
  MPI_Reduce(mine.data(),
             all.data(),
             static_cast<int>(mine.size()),
             MPI_DOUBLE,
             MPI_MAX,
             0,
             MPI_COMM_WORLD);
  return all;
}

bool Communicator::all_true(bool mine) const {
  const int value = mine ? 1 : 0;
  int all = 0;
  MPI_Reduce(&value, &all, 1, MPI_INT, MPI_MIN, 0, MPI_COMM_WORLD);
  return all == 1;
}

void Communicator::abort(int exit_code) const {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::abort();  // MPI_Abort is not declared as not returning
}

std::string Communicator::library_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string whole(text, static_cast<std::size_t>(length));
  return whole.substr(0, whole.find(','));
}

}  // namespace switchyard::bench
