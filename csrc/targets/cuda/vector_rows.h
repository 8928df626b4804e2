// Row operations by the lanes' own loads and stores, 16 bytes each: for GPUs without a bulk-copy
// engine (before sm_90), and for words and zeroes anywhere. All lanes call.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/row_math.h"
#include "csrc/targets/cuda/cache_hints.h"
#include "csrc/targets/cuda/row_sum.h"
#include "csrc/targets/cuda/warp_memory.h"
#include "ptx/load.h"
#include "ptx/store.h"

namespace switchyard::cuda {

/// Vectors of one lane under way before the first is stored.
inline constexpr int kVectorsInFlight = 4;

template <class Hints>
__device__ void copy_by_lanes(std::byte* const* dests,
                              int num,
                              const std::byte* src,
                              std::uint32_t bytes,
                              int lane,
                              typename Hints::Policy policy) {
  constexpr std::uint32_t kStep = kLanes * sizeof(uint4);
  for (std::uint32_t begin = static_cast<std::uint32_t>(lane) * sizeof(uint4); begin < bytes;
       begin += kVectorsInFlight * kStep) {
    uint4 vectors[kVectorsInFlight];
#pragma unroll
    for (int i = 0; i < kVectorsInFlight; ++i) {
      if (begin + i * kStep < bytes) {
        vectors[i] = ptx::ld_global_16<Hints::kL1>(src + begin + i * kStep, policy);
      }
    }
    for (int dest = 0; dest < num; ++dest) {
#pragma unroll
      for (int i = 0; i < kVectorsInFlight; ++i) {
        if (begin + i * kStep < bytes) {
          ptx::st_global_16<Hints::kL1>(dests[dest] + begin + i * kStep, vectors[i], policy);
        }
      }
    }
  }
}

/// Shapes: dst and bytes multiples of 4: scales in the caller's memory are no more than that
inline __device__ void zero_by_lanes(std::byte* dst, std::uint32_t bytes, int lane) {
  const auto idx = static_cast<std::uint32_t>(lane);
  const bool by_vectors = (reinterpret_cast<std::uintptr_t>(dst) | bytes) % sizeof(uint4) == 0;
  if (by_vectors) {
    for (std::uint32_t at = idx * sizeof(uint4); at < bytes; at += kLanes * sizeof(uint4)) {
      ptx::st_global_16(dst + at, uint4{0, 0, 0, 0});
    }
    return;
  }
  for (std::uint32_t at = idx * sizeof(std::uint32_t); at < bytes;
       at += kLanes * sizeof(std::uint32_t)) {
    ptx::st_global_4(dst + at, 0);
  }
}

template <class Hints, class Wire, bool kByNode>
__device__ void sum_by_lanes(const protocol::Reduction& rows,
                             int lane,
                             typename Hints::Policy policy) {
  const std::uint32_t bytes = rows.num_elems * (sizeof(uint4) / Wire::kElems);
  for (std::uint32_t at = static_cast<std::uint32_t>(lane) * sizeof(uint4); at < bytes;
       at += kLanes * sizeof(uint4)) {
    RowSum<Wire, 1, kByNode> sum;
    sum.begin();
    for (int i = 0; i < rows.num_biases; ++i) {
      sum.add_bias(0, ptx::ld_global_16<Hints::kL1>(rows.biases[i] + at, policy));
    }
    for (int i = 0; i < rows.num_terms; ++i) {
      const protocol::Term& term = rows.terms[i];
      sum.add_row(0,
                  ptx::ld_global_16<Hints::kL1>(term.row + at, policy),
                  rows.weighted ? term.weight : 1.0F);
      sum.close_row(term);
    }
    ptx::st_global_16<Hints::kL1>(rows.dst + at, sum.result(0), policy);
  }
}

}  // namespace switchyard::cuda
