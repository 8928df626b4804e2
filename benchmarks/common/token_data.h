// What the rows hold: values that depend only on (seed, who, which row, position), so that any
// process can write any row again and compare. All values are finite, in (-2, 2), with eight binary
// exponents and every mantissa.
#pragma once

#include <cstddef>
#include <cstdint>

#include "benchmarks/common/aligned_buffer.h"
#include "benchmarks/common/routing_source.h"
#include "benchmarks/common/workload.h"
#include "switchyard/dispatch.h"

namespace switchyard::bench {

struct RowFormat {
  DType dtype = DType::kBf16;  ///< bf16, fp16, fp32 or fp8 e4m3
  int hidden = 0;              ///< elements
  std::uint64_t seed = 0;
};

struct TokenId {
  int rank = 0;   ///< where the token comes from
  int token = 0;  ///< its index there
};

/// Writes the activations of one token: hidden elements. One element of each row is -0.
void fill_token_row(const RowFormat& format, TokenId id, std::byte* dst);

/// Writes what an expert makes of the token. `producer` is the global expert (one row per expert),
/// or the rank (rank-major, where a rank's experts give one row together).
void fill_expert_row(const RowFormat& format, TokenId id, int producer, std::byte* dst);

/// Writes the scales that are carried with the token: scale_bytes_per_row(scales, hidden) bytes,
/// positive powers or fractions in [2^-7, 2).
void fill_token_scales(const RowFormat& format,
                       protocol::ScaleFormat scales,
                       TokenId id,
                       std::byte* dst);

RowFormat token_format(const Workload& workload);   ///< of dispatched rows
RowFormat expert_format(const Workload& workload);  ///< of combined rows

/// One rank's input tensors, filled. Move-only; owns the memory its request points to.
class RankInputs {
 public:
  /// `routing` is what make_routing gave for `rank` (any number of tokens).
  RankInputs(const Workload& workload, int rank, RankRouting routing);

  /// The dispatch of this workload: x, scales, top-k tensors (int64, fp32), layout and options.
  [[nodiscard]] DispatchRequest request() const;
  [[nodiscard]] ConstTensorView x() const;
  [[nodiscard]] ConstTensorView topk_weights() const;
  [[nodiscard]] const RankRouting& routing() const { return routing_; }

 private:
  Workload workload_;
  RankRouting routing_;
  AlignedBuffer x_;
  AlignedBuffer scales_;
};

}  // namespace switchyard::bench
