// Rows summed by the warp: the bulk-copy engine brings the contributions part by part, every lane
// adds its elements in the contract's order, one part of the result leaves while the next is
// summed. For sm_90 and later; all lanes call.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/row_math.h"
#include "csrc/targets/cuda/cache_hints.h"
#include "csrc/targets/cuda/row_sum.h"
#include "csrc/targets/cuda/warp_memory.h"
#include "ptx/bulk_copy.h"
#include "ptx/elect.h"
#include "ptx/fence.h"
#include "ptx/mbarrier.h"

namespace switchyard::cuda {

template <class Hints>
class SumRing {
 public:
  __device__ SumRing(WarpMemory* memory, int lane, typename Hints::Policy policy)
      : memory_(memory), lane_(lane), policy_(policy) {}

  /// Called by: one lane, before anything else; the warp meets afterwards.
  __device__ void prepare() {
    for (int stage = 0; stage < kSumStages; ++stage) {
      ptx::mbarrier_init(&memory_->sum_arrived[stage], 1);
    }
  }

  /// Returns while the last part is on its way out: the rows are read; the sum is written when
  /// complete() returns.
  template <class Wire, bool kByNode>
  __device__ void sum(const protocol::Reduction& rows) {
    constexpr int kVectors = kByNode ? kVectorsByNode : kStageVectors;
    const Inputs inputs(rows, sizeof(uint4) / Wire::kElems, kVectors);
    std::uint32_t to_load = 0;
    for (; to_load < kSumStages && to_load < inputs.count(); ++to_load) {
      load(inputs, to_load);
    }
    for (std::uint32_t part = 0; part < inputs.num_parts; ++part) {
      RowSum<Wire, kVectors, kByNode> sums;
      sums.begin();
      for (std::uint32_t row = 0; row < inputs.per_part; ++row, ++to_load) {
        add(sums, inputs, part, row);
        if (to_load < inputs.count()) {
          load(inputs, to_load);
        }
      }
      store(sums, inputs, part);
    }
  }

  /// Every sum is in memory, for whoever is told by a release behind a proxy fence.
  __device__ void complete() {
    if (ptx::warp_elect()) {
      ptx::bulk_wait_group<0>();
    }
  }

 private:
  /// Vectors of one lane in a part. A part of a plain sum fills its stage; sums by node fill half of
  /// it, as they hold three sums of each element instead of two.
  /// derived: no more registers than plain sums, which leave few of the 168.
  static constexpr int kStageVectors = kSumStageBytes / (kLanes * sizeof(uint4));
  static constexpr int kVectorsByNode = kStageVectors / 2;
  static_assert(3 * kVectorsByNode <= 2 * kStageVectors);

  /// Biases, then rows, part by part: the order in which they are added.
  struct Inputs {
    __device__ Inputs(const protocol::Reduction& reduction, std::uint32_t elem_bytes, int vectors)
        : rows(&reduction),
          part_bytes(static_cast<std::uint32_t>(vectors * kLanes) * sizeof(uint4)),
          row_bytes(reduction.num_elems * elem_bytes),
          num_biases(static_cast<std::uint32_t>(reduction.num_biases)),
          per_part(num_biases + static_cast<std::uint32_t>(reduction.num_terms)),
          num_parts((row_bytes + part_bytes - 1) / part_bytes) {}

    __device__ std::uint32_t count() const { return per_part * num_parts; }
    __device__ std::uint32_t bytes_of(std::uint32_t part) const {
      const std::uint32_t left = row_bytes - part * part_bytes;
      return left < part_bytes ? left : part_bytes;
    }
    __device__ const std::byte* row(std::uint32_t idx) const {
      return idx < num_biases ? rows->biases[idx] : rows->terms[idx - num_biases].row;
    }

    const protocol::Reduction* rows;
    std::uint32_t part_bytes;  // the last may be shorter
    std::uint32_t row_bytes;
    std::uint32_t num_biases;
    std::uint32_t per_part;
    std::uint32_t num_parts;
  };

  __device__ uint4* stage(std::uint32_t idx) const {
    return reinterpret_cast<uint4*>(memory_->rows + idx * kSumStageBytes);
  }
  /// The result's, behind those of the contributions.
  __device__ uint4* result_stage() const { return stage(kSumStages); }

  __device__ void load(const Inputs& inputs, std::uint32_t input) {
    const std::uint32_t idx = loaded_++ % kSumStages;
    if (ptx::warp_elect()) {
      const std::uint32_t part = input / inputs.per_part;
      const std::uint32_t bytes = inputs.bytes_of(part);
      std::uint64_t* arrived = &memory_->sum_arrived[idx];
      ptx::mbarrier_arrive_expect_tx(arrived, bytes);
      ptx::bulk_load(stage(idx),
                     inputs.row(input % inputs.per_part) + part * inputs.part_bytes,
                     bytes,
                     arrived,
                     policy_);
    }
  }

  /// Waits for the oldest contribution and adds it; its stage may be loaded again.
  template <class Wire, int kVectors, bool kByNode>
  __device__ void add(RowSum<Wire, kVectors, kByNode>& sums,
                      const Inputs& inputs,
                      std::uint32_t part,
                      std::uint32_t row) {
    const std::uint32_t idx = added_++ % kSumStages;
    while (!ptx::mbarrier_try_wait_parity(&memory_->sum_arrived[idx], (turned_ >> idx) & 1U)) {
    }
    turned_ ^= 1U << idx;
    const bool is_bias = row < inputs.num_biases;
    const protocol::Term* term = is_bias ? nullptr : &inputs.rows->terms[row - inputs.num_biases];
    const float weight = is_bias || !inputs.rows->weighted ? 1.0F : term->weight;
    for_my_vectors<kVectors>(inputs.bytes_of(part), [&](int vector, std::uint32_t at) {
      if (is_bias) {
        sums.add_bias(vector, stage(idx)[at]);
      } else {
        sums.add_row(vector, stage(idx)[at], weight);
      }
    });
    if (!is_bias) {
      sums.close_row(*term);
    }
    __syncwarp();
  }

  template <class Wire, int kVectors, bool kByNode>
  __device__ void store(const RowSum<Wire, kVectors, kByNode>& sums,
                        const Inputs& inputs,
                        std::uint32_t part) {
    if (ptx::warp_elect()) {
      ptx::bulk_wait_group_read<0>();  // the part before has left the stage
    }
    __syncwarp();
    const std::uint32_t bytes = inputs.bytes_of(part);
    for_my_vectors<kVectors>(
        bytes, [&](int vector, std::uint32_t at) { result_stage()[at] = sums.result(vector); });
    ptx::fence_proxy_async_shared();
    __syncwarp();
    if (ptx::warp_elect()) {
      ptx::bulk_store(inputs.rows->dst + part * inputs.part_bytes, result_stage(), bytes, policy_);
      ptx::bulk_commit_group();
    }
  }

  /// Visits this lane's vectors of a part, given as (which of mine, which of the part).
  template <int kVectors, class Visit>
  __device__ void for_my_vectors(std::uint32_t bytes, Visit visit) const {
#pragma unroll
    for (int vector = 0; vector < kVectors; ++vector) {
      const auto at = static_cast<std::uint32_t>(vector * kLanes + lane_);
      if (at * sizeof(uint4) < bytes) {
        visit(vector, at);
      }
    }
  }

  WarpMemory* memory_;
  int lane_;
  typename Hints::Policy policy_;
  std::uint32_t loaded_ = 0;
  std::uint32_t added_ = 0;
  std::uint32_t turned_ = 0;  // by stage: parity of its barrier
};

}  // namespace switchyard::cuda
