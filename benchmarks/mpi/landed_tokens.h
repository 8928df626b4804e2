// What a rank knows of each row it received (a token's, for one or for several of its experts), and
// where the rows it becomes lie in the output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "benchmarks/common/workload.h"

namespace switchyard::bench {

/// What travels beside a row: token | experts [entries] int64 | weights [entries] fp32, a multiple
/// of 16 bytes. Entries are the token's top-k, or the one expert for which the row is.
class TokenNote {
 public:
  static std::size_t bytes(int num_entries);
  static void write(std::byte* note,
                    int token,
                    std::span<const std::int64_t> experts,
                    std::span<const float> weights);

  TokenNote(const std::byte* note, int num_entries) : note_(note), num_entries_(num_entries) {}
  [[nodiscard]] int num_entries() const { return num_entries_; }
  [[nodiscard]] int token() const { return *reinterpret_cast<const std::int32_t*>(note_); }
  [[nodiscard]] std::int64_t expert(int k) const {
    return reinterpret_cast<const std::int64_t*>(note_ + kHeaderBytes)[k];
  }
  [[nodiscard]] float weight(int k) const {
    const std::size_t weights_at =
        kHeaderBytes + static_cast<std::size_t>(num_entries_) * sizeof(std::int64_t);
    return reinterpret_cast<const float*>(note_ + weights_at)[k];
  }

 private:
  static constexpr std::size_t kHeaderBytes = 8;
  const std::byte* note_;
  int num_entries_;
};

/// One output row that a received token fills.
struct LandedExpert {
  std::int64_t row = 0;
  float weight = 0.0F;  ///< of this token's entries for the expert
  int local_expert = 0;
};

/// Received tokens in (source rank, token) order, each with its rows in top-k order. Remade by
/// every dispatch.
class LandedTokens {
 public:
  void clear();
  /// Adds the next token; of its experts those of `rank` count.
  void add(const Workload& workload, int rank, const TokenNote& note);
  /// Gives every row its place, expert after expert or at its fixed place, and returns how many
  /// rows there are with padding.
  /// Shapes: received [num_ranks] tokens from each source
  std::int64_t place(const Workload& workload, std::span<const int> received);

  [[nodiscard]] std::span<const LandedExpert> experts(std::size_t token) const {
    return {experts_.data() + first_[token], first_[token + 1] - first_[token]};
  }
  /// First row of each local expert and the number of rows: [experts_per_rank + 1].
  [[nodiscard]] std::span<const std::int64_t> expert_offsets() const { return offsets_; }
  /// Expert-major: where the rows of an expert end and its padding begins.
  [[nodiscard]] std::int64_t end_of_rows(std::size_t expert) const { return next_[expert]; }

 private:
  std::vector<LandedExpert> experts_;
  std::vector<std::size_t> first_{0};  // [tokens + 1]
  std::vector<std::int64_t> offsets_;
  std::vector<std::int64_t> next_;  // [experts_per_rank]
};

}  // namespace switchyard::bench
