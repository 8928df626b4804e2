// The protocol's instruction set on a warp: words by acquire and release, rows by the bulk-copy
// engine where there is one. Every lane runs the role and calls every operation; lanes differ only
// in here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/protocol/operation.h"
#include "csrc/protocol/row_math.h"
#include "csrc/protocol/warp.h"
#include "csrc/targets/cuda/copy_ring.h"
#include "csrc/targets/cuda/quantize_block.h"
#include "csrc/targets/cuda/reserved_region.h"
#include "csrc/targets/cuda/sum_ring.h"
#include "csrc/targets/cuda/vector_rows.h"
#include "csrc/targets/cuda/wire.h"
#include "csrc/targets/cuda/word_window.h"
#include "ptx/atomic.h"
#include "ptx/elect.h"
#include "ptx/fence.h"
#include "ptx/memory_order.h"

namespace switchyard::cuda {

inline constexpr bool kHasBulkCopies = ptx::kThisTarget.has(90);

/// Models protocol::Warp (csrc/protocol/warp.h says what each operation promises).
template <class Hints>
class CudaWarp {
 public:
  /// Called by: all lanes of one warp, which has `memory` for itself
  __device__ CudaWarp(WarpMemory* memory, const ReservedRegion* regions, int num_regions)
      : lane_(static_cast<int>(threadIdx.x) % kLanes),
        regions_(regions),
        num_regions_(num_regions),
        policy_(Hints::make()),
        window_(lane_),
        memory_(memory),
        copies_(memory, policy_),
        sums_(memory, lane_, policy_) {
    if constexpr (kHasBulkCopies) {
      if (ptx::warp_elect()) {
        copies_.prepare();
        sums_.prepare();
        ptx::fence_mbarrier_init();
        ptx::fence_proxy_async_shared();
      }
    }
    __syncwarp();
  }

  [[nodiscard]] __device__ protocol::Word load_acquire(const protocol::Word* from) {
    const protocol::Word value = window_.load(from, /*acquire=*/true);
    acquired_ = acquired_ || value != 0;
    return value;
  }
  [[nodiscard]] __device__ protocol::Word load_relaxed(const protocol::Word* from) {
    return window_.load(from, /*acquire=*/false);
  }
  __device__ void store_relaxed(protocol::Word* to, protocol::Word value) {
    if (lane_ == 0) {
      ptx::st_relaxed_sys(to, value);
    }
  }
  __device__ void store_release(protocol::Word* to, protocol::Word value) {
    complete_rows();
    if (lane_ == 0) {
      ptx::st_release_sys(to, value);
    }
  }
  __device__ void add_release(protocol::Word* to, protocol::Word value) {
    complete_rows();
    if (lane_ == 0) {
      ptx::red_add_release_sys(to, value);
    }
  }

  __device__ void copy_row(std::byte* const* to,
                           int num_dests,
                           const std::byte* from,
                           std::size_t bytes,
                           protocol::CopyHint) {
    if constexpr (kHasBulkCopies) {
      begin_bulk(Ring::kCopies);
      if (ptx::warp_elect()) {
        copies_.copy(to, num_dests, from, static_cast<std::uint32_t>(bytes));
      }
      __syncwarp();
    } else {
      copy_by_lanes<Hints>(to, num_dests, from, static_cast<std::uint32_t>(bytes), lane_, policy_);
    }
  }

  /// Every lane has the same `words` before it, in its own memory or in shared places.
  __device__ void store_words(std::byte* to, const std::uint32_t* words, std::uint32_t count) {
    for (std::uint32_t i = static_cast<std::uint32_t>(lane_); i < count; i += kLanes) {
      ptx::st_global_4<Hints::kL1>(to + i * sizeof(std::uint32_t), words[i]);
    }
    __syncwarp();  // a role may change the words now
  }
  __device__ void expect_words(std::byte*) {}

  [[nodiscard]] __device__ std::uint32_t load_word(const std::uint32_t* from) const {
    return ptx::ld_global_4(from);
  }
  /// Neighbouring lanes load neighbouring 16 bytes.
  [[nodiscard]] __device__ std::uint32_t sum_words(const std::uint32_t* words,
                                                   std::uint32_t count) const {
    constexpr std::uint32_t kWordsPerLoad = sizeof(uint4) / sizeof(std::uint32_t);
    std::uint32_t sum = 0;
    for (std::uint32_t i = static_cast<std::uint32_t>(lane_) * kWordsPerLoad; i < count;
         i += kLanes * kWordsPerLoad) {
      const uint4 four = ptx::ld_global_16<Hints::kL1>(words + i, policy_);
      sum += four.x + four.y + four.z + four.w;
    }
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
      sum += __shfl_xor_sync(0xffffffffU, sum, distance);
    }
    return sum;
  }
  [[nodiscard]] __device__ float load_float(const float* from) const {
    return __uint_as_float(ptx::ld_global_4(from));
  }

  __device__ void zero_row(std::byte* to, std::size_t bytes) {
    zero_by_lanes(to, static_cast<std::uint32_t>(bytes), lane_);
  }

  __device__ void quantize_row(const protocol::Quantization& row,
                               std::byte* const* to,
                               std::byte* const* scales_to,
                               int num_dests,
                               protocol::CopyHint) {
    if constexpr (kHasBulkCopies) {
      begin_bulk(Ring::kCopies);
    }
    for (std::uint32_t begin = 0; begin < row.num_elems; begin += kCopyStageBytes) {
      const std::uint32_t left = row.num_elems - begin;
      const std::uint32_t elems = left < kCopyStageBytes ? left : kCopyStageBytes;
      quantize_part(row, {begin, elems}, to, scales_to, num_dests);
    }
  }

  __device__ void reduce_rows(const protocol::Reduction& reduction,
                              protocol::CopyHint,
                              const protocol::Reduction*) {
    if constexpr (kHasBulkCopies) {
      begin_bulk(Ring::kSums);
    }
    switch (reduction.dtype) {
      case DType::kBf16:
        return sum<Bf16Wire>(reduction);
      case DType::kFp16:
        return sum<Fp16Wire>(reduction);
      default:
        return sum<Fp32Wire>(reduction);
    }
  }

  /// Takes the next of the regions that the host has set aside, if it is large enough.
  [[nodiscard]] __device__ std::uint64_t allocate(std::uint64_t bytes) {
    if (used_regions_ == num_regions_ || regions_[used_regions_].bytes < bytes) {
      return protocol::kNoRegion;
    }
    return regions_[used_regions_++].offset;
  }
  [[nodiscard]] __device__ std::uint64_t largest_free() const {
    return used_regions_ == num_regions_ ? 0 : regions_[used_regions_].bytes;
  }
  __device__ void release(std::uint64_t) {}  // the host's, when the operation is finished

  /// Waits for everything under way; the warp's shared memory may go to another afterwards.
  __device__ void complete_rows() {
    if constexpr (kHasBulkCopies) {
      complete_bulk();
      ptx::fence_proxy_async();
    }
    __syncwarp();  // words and rows that other lanes stored come before what one lane releases
  }

 private:
  /// Which ring holds the shared memory.
  enum class Ring : std::uint8_t { kNone, kCopies, kSums };

  struct Range {
    std::uint32_t begin;
    std::uint32_t count;
  };

  /// Rows that an acquire has made visible are about to be read by the bulk-copy engine, which sees
  /// them only behind a proxy fence.
  __device__ void begin_bulk(Ring ring) {
    if (ring != ring_) {
      complete_bulk();
      ring_ = ring;
    }
    if (acquired_) {
      ptx::fence_proxy_async();
      acquired_ = false;
      __syncwarp();
    }
  }

  __device__ void complete_bulk() {
    if (ring_ == Ring::kCopies) {
      if (ptx::warp_elect()) {
        copies_.complete();
      }
    } else if (ring_ == Ring::kSums) {
      sums_.complete();
    }
    __syncwarp();
  }

  template <class Wire>
  __device__ void sum(const protocol::Reduction& reduction) {
    if (reduction.by_node) {
      sum_rows<Wire, true>(reduction);
    } else {
      sum_rows<Wire, false>(reduction);
    }
  }

  template <class Wire, bool kByNode>
  __device__ void sum_rows(const protocol::Reduction& reduction) {
    if constexpr (kHasBulkCopies) {
      sums_.template sum<Wire, kByNode>(reduction);
    } else {
      sum_by_lanes<Hints, Wire, kByNode>(reduction, lane_, policy_);
    }
  }

  /// One stage's worth of a row, block scales and elements, to every destination.
  __device__ void quantize_part(const protocol::Quantization& row,
                                Range part,
                                std::byte* const* to,
                                std::byte* const* scales_to,
                                int num_dests) {
    std::byte* stage = take_stage();
    constexpr std::uint32_t kStep = kLanes * kQuantElems;
    constexpr std::uint32_t kScaleGroupElems = 4 * kScaleBlockElems;
    static_assert(kCopyStageBytes % kScaleGroupElems == 0 && kScaleGroupElems % kStep == 0);
    const auto end = static_cast<std::uint32_t>(protocol::round_up(part.count, kScaleGroupElems));
    for (std::uint32_t at = static_cast<std::uint32_t>(lane_) * kQuantElems; at < end;
         at += kStep) {
      const bool inside = at < part.count;
      const std::uint32_t elem = part.begin + at;
      const uint4 wire =
          inside ? ptx::ld_global_16<Hints::kL1>(row.src + elem * sizeof(std::uint16_t), policy_)
                 : uint4{0, 0, 0, 0};
      float elements[kQuantElems];
      ptx::bf16x8_to_f32(wire, elements);
      const BlockScale scale = block_scale(block_amax(elements), row.format);
      if (lane_ % kQuantLanes == 0) {
        store_scale(row.format,
                    elem / kScaleBlockElems,
                    inside ? scale.stored : 0,
                    inside,
                    scales_to,
                    num_dests);
      }
      if (inside) {
        store_quantized(to_e4m3(wire, scale.inverse),
                        elem,
                        stage == nullptr ? nullptr : stage + at,
                        to,
                        num_dests);
      }
    }
    give_stage(to, num_dests, part);
  }

  __device__ std::byte* take_stage() {
    if constexpr (kHasBulkCopies) {
      if (ptx::warp_elect()) {
        memory_->filling = copies_.free_stage();
      }
      __syncwarp();
      return memory_->filling;
    } else {
      return nullptr;
    }
  }

  __device__ void give_stage(std::byte* const* to, int num_dests, Range part) {
    if constexpr (kHasBulkCopies) {
      ptx::fence_proxy_async_shared();
      __syncwarp();
      if (ptx::warp_elect()) {
        copies_.store_stage(to, num_dests, part.begin, part.count);
      }
    }
    __syncwarp();
  }

  /// ue8m0 scales come in groups of four bytes, the last filled up with zeroes.
  static __device__ void store_scale(protocol::ScaleFormat format,
                                     std::uint32_t block,
                                     std::uint32_t scale,
                                     bool inside,
                                     std::byte* const* scales_to,
                                     int num_dests) {
    for (int i = 0; i < num_dests; ++i) {
      if (format == protocol::ScaleFormat::kUe8m0) {
        scales_to[i][block] = static_cast<std::byte>(scale);
      } else if (inside) {
        ptx::st_global_4(scales_to[i] + block * sizeof(float), scale);
      }
    }
  }

  static __device__ void store_quantized(const uint2& bytes,
                                         std::uint32_t elem,
                                         std::byte* staged,
                                         std::byte* const* to,
                                         int num_dests) {
    if (staged != nullptr) {
      *reinterpret_cast<uint2*>(staged) = bytes;
      return;
    }
    for (int i = 0; i < num_dests; ++i) {
      *reinterpret_cast<uint2*>(to[i] + elem) = bytes;
    }
  }

  int lane_;
  const ReservedRegion* regions_;
  int num_regions_;
  int used_regions_ = 0;
  typename Hints::Policy policy_;
  WordWindow window_;
  WarpMemory* memory_;
  CopyRing<Hints> copies_;
  SumRing<Hints> sums_;
  Ring ring_ = Ring::kNone;
  bool acquired_ = false;  // something that the bulk-copy engine has not been fenced for
};

static_assert(protocol::Warp<CudaWarp<WithHints>>);
static_assert(protocol::Warp<CudaWarp<WithoutHints>>);

}  // namespace switchyard::cuda
