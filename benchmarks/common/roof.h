// The copy roofs: how fast the same payload bytes move with the same cores when nothing else has to
// be done: no counts, no metadata, no waiting. What an operation's time is compared with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "benchmarks/common/fold_rows.h"
#include "benchmarks/common/reference.h"
#include "switchyard/tensor.h"

namespace switchyard::bench {

/// How the bytes are moved. The roof is the fastest of those tried in the same run.
enum class RoofCopy : std::uint8_t {
  kStreaming,  ///< the library's own row copy, or wide loads and streaming stores
  kMemcpy,     ///< std::memcpy row by row
};

/// One rank's dispatch as bare copies: each of its token rows read once, and written once for every
/// row that it lands. Prepared once, run many times; all ranks run it at the same time, as they
/// dispatch at the same time.
class DispatchRoof {
 public:
  /// Shapes: x [num_tokens, hidden]: this rank's rows. For a quantising workload only the landed
  /// bytes are copied
  ///         (the first half of each bf16 row), so that roof is one no arithmetic can reach.
  ///         landed[r]: first byte of rank r's landed rows, landed_row_bytes each, contiguous; the
  ///         same kind of memory as results have
  DispatchRoof(const Reference& reference,
               const ConstTensorView& x,
               std::span<std::byte* const> landed);

  /// One of `num_shares` equal shares of the tokens: as many threads as the operation has workers
  /// run one each. Returns when its rows are written. Thread-safe.
  void run(RoofCopy copy, int share = 0, int num_shares = 1) const;

  [[nodiscard]] std::int64_t bytes_written() const;

 private:
  struct Row {
    const std::byte* src;
    std::size_t first_dst;
    int num_dsts;
  };
  std::size_t row_bytes_ = 0;
  std::vector<Row> rows_;
  std::vector<std::byte*> dsts_;
};

/// One rank's combine as bare memory traffic: every contribution read once, every output row
/// written once. The rows of a token are folded by XOR, the cheapest operation that needs every
/// byte.
class CombineRoof {
 public:
  /// Shapes: outputs[r]: first byte of rank r's expert-output rows, combine_row_bytes each,
  /// contiguous; out
  ///         [num_tokens, hidden] of combine_dtype with 64-byte aligned rows where row bytes allow
  CombineRoof(const Reference& reference,
              std::span<const std::byte* const> outputs,
              const TensorView& out);

  /// As DispatchRoof::run. kMemcpy: each contribution is copied to one scratch row that stays in
  /// the cache, then to the output row.
  void run(RoofCopy copy, int share = 0, int num_shares = 1) const;

  [[nodiscard]] std::int64_t bytes_read() const;
  [[nodiscard]] std::int64_t bytes_written() const;

 private:
  [[nodiscard]] Fold fold_of(std::size_t token) const;

  std::size_t row_bytes_ = 0;
  std::byte* out_ = nullptr;
  std::size_t out_stride_ = 0;
  std::vector<const std::byte*> srcs_;
  std::vector<std::size_t> first_src_;  // [num_tokens + 1]
};

}  // namespace switchyard::bench
