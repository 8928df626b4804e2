// Walks the rows that one source landed at this rank: one run in rank-major layout, one run per
// local expert otherwise.
#pragma once

#include <cstdint>

#include "csrc/protocol/host_device.h"

namespace switchyard::protocol {

/// Tables of a landing: where the rows of each source lie. Counts and bases
/// [num_ranks][runs_per_source].
struct RowRuns {
  const std::int32_t* counts = nullptr;
  const std::int32_t* bases = nullptr;
  std::int32_t runs_per_source = 1;
};

/// Visits rows [begin, end) of a source's rows, counted over its runs in order, a few per call.
class RowWalk {
 public:
  SY_HOST_DEVICE void start(const RowRuns& runs, int source, std::int64_t begin, std::int64_t end) {
    first_run_ = std::int64_t{source} * runs.runs_per_source;
    run_ = 0;
    skip_ = begin;
    left_ = end - begin;
  }

  SY_HOST_DEVICE bool done() const { return left_ <= 0; }

  /// Calls `visit(first row, rows)` for neighbours among up to `limit` further rows.
  template <class Visit>
  SY_HOST_DEVICE void advance(const RowRuns& runs, std::int64_t limit, Visit visit) {
    while (limit > 0 && left_ > 0) {
      const std::int64_t count = runs.counts[first_run_ + run_];
      if (skip_ >= count) {
        skip_ -= count;
        ++run_;
        continue;
      }
      std::int64_t rows = count - skip_;
      rows = rows < left_ ? rows : left_;
      rows = rows < limit ? rows : limit;
      visit(runs.bases[first_run_ + run_] + skip_, rows);
      skip_ += rows;
      left_ -= rows;
      limit -= rows;
    }
  }

 private:
  std::int64_t first_run_ = 0;
  std::int64_t run_ = 0;
  std::int64_t skip_ = 0;
  std::int64_t left_ = 0;
};

}  // namespace switchyard::protocol
