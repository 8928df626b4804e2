// Mailbox words as a warp reads them: 32 neighbours by one load of every lane, handed out one by
// one, since a role asks for one after the other and each alone would cost a trip to memory.
#pragma once

#include <cstdint>

#include "csrc/protocol/control_block.h"
#include "csrc/targets/cuda/warp_memory.h"
#include "ptx/fence.h"
#include "ptx/memory_order.h"

namespace switchyard::cuda {

/// Words are loaded 256 bytes at a time, so every word that is read lies in memory of such blocks.
inline constexpr std::uint32_t kWindowBytes = kLanes * sizeof(protocol::Word);

class WordWindow {
 public:
  __device__ explicit WordWindow(int lane) : lane_(lane) {}

  /// The word at `from`, as it was at this call or, for words behind the one asked for last, at the
  /// call that loaded their block. Asking for a word again loads it again.
  /// Ordering: `acquire` pairs with the release that wrote the word. A word that still holds 0 was
  /// written by nobody, and one that holds what it held at the last look was acquired then: both
  /// cost no fence
  __device__ protocol::Word load(const protocol::Word* from, bool acquire) {
    const bool ahead = from > last_ && from < block_ + kLanes;
    if (block_ == nullptr || !ahead) {
      fill(from);
    }
    last_ = from;
    const protocol::Word value = __shfl_sync(0xffffffffU, word_, static_cast<int>(from - block_));
    if (acquire && value != 0) {
      order(from, value);
    }
    return value;
  }

 private:
  __device__ void fill(const protocol::Word* from) {
    const auto address = reinterpret_cast<std::uintptr_t>(from);
    block_ = reinterpret_cast<const protocol::Word*>(address / kWindowBytes * kWindowBytes);
    word_ = ptx::ld_relaxed_sys(block_ + lane_);
    fenced_ = false;
  }

  /// Every lane fences behind its own load of the block, so that the whole block is acquired.
  __device__ void order(const protocol::Word* from, protocol::Word value) {
    const bool seen_before = from == acquired_ && value == acquired_value_;
    if (!fenced_ && !seen_before) {
      ptx::fence_acq_rel_sys();
      __syncwarp();
      fenced_ = true;
    }
    acquired_ = from;
    acquired_value_ = value;
  }

  int lane_;
  const protocol::Word* block_ = nullptr;
  const protocol::Word* last_ = nullptr;
  protocol::Word word_ = 0;  // this lane's of the block
  bool fenced_ = false;
  const protocol::Word* acquired_ = nullptr;
  protocol::Word acquired_value_ = 0;
};

}  // namespace switchyard::cuda
