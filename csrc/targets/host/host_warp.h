// The protocol's instruction set on a CPU thread: atomics on shared memory, vector row operations,
// bells for those who may be asleep. One object per thread that runs roles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "csrc/memory/arena.h"
#include "csrc/protocol/control_block.h"
#include "csrc/protocol/peers.h"
#include "csrc/protocol/row_math.h"
#include "csrc/protocol/trace.h"
#include "csrc/protocol/warp.h"

namespace switchyard::host {

/// Models protocol::Warp (csrc/protocol/warp.h says what each operation promises).
/// Lifetime: of its thread; the heap and the arena outlive it
class HostWarp {
 public:
  HostWarp(const protocol::Peers& peers,
           const protocol::ControlLayout& control,
           memory::Arena& arena);

  [[nodiscard]] protocol::Word load_acquire(const protocol::Word* from) const;
  [[nodiscard]] protocol::Word load_relaxed(const protocol::Word* from) const;
  void store_relaxed(protocol::Word* to, protocol::Word value);
  void store_release(protocol::Word* to, protocol::Word value);
  void add_release(protocol::Word* to, protocol::Word value);

  void copy_row(std::byte* const* to,
                int num_dests,
                const std::byte* from,
                std::size_t bytes,
                protocol::CopyHint hint);
  void store_words(std::byte* to, const std::uint32_t* words, std::uint32_t count);
  /// Fetches the line: a store that misses would hold up the row copies behind it.
  void expect_words(std::byte* to) { __builtin_prefetch(to, 1); }
  [[nodiscard]] std::uint32_t load_word(const std::uint32_t* from) const;
  [[nodiscard]] std::uint32_t sum_words(const std::uint32_t* words, std::uint32_t count) const;
  [[nodiscard]] float load_float(const float* from) const;
  void zero_row(std::byte* to, std::size_t bytes);
  void quantize_row(const protocol::Quantization& row,
                    std::byte* const* to,
                    std::byte* const* scales_to,
                    int num_dests,
                    protocol::CopyHint hint);
  void reduce_rows(const protocol::Reduction& reduction,
                   protocol::CopyHint hint,
                   const protocol::Reduction* next);

  [[nodiscard]] std::uint64_t allocate(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t largest_free() const;
  void release(std::uint64_t offset);

  /// Completes this thread's streaming stores (another thread may run the role next) and rings the
  /// ranks whose memory was published to since the last call.
  /// Called by: the worker, after each round of steps
  void end_round();

  /// By all operations of this warp so far; metadata and scales are left out.
  [[nodiscard]] const protocol::MovedRows& moved() const { return moved_; }

 private:
  void complete_stores();
  void note_published(const void* where);

  protocol::Peers peers_;
  protocol::ControlLayout control_;
  memory::Arena* arena_;
  bool streamed_ = false;
  protocol::MovedRows moved_;
  std::vector<bool> published_;       // by rank: something was stored there since the last round
  std::vector<int> published_ranks_;  // the ranks set above
  std::vector<std::byte> scratch_;    // one quantised row and its scales
};

static_assert(protocol::Warp<HostWarp>);

}  // namespace switchyard::host
