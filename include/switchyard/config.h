// How a Buffer is set up: sizes, workers, limits. A plain struct that prints itself; every field
// says its unit, its range and what goes wrong at the ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "switchyard/layout.h"

namespace switchyard {

enum class HeapKind : std::uint8_t {
  kAuto,          ///< kInProcess when all ranks share one process, else kSharedMemory
  kInProcess,     ///< ranks are threads of one process
  kSharedMemory,  ///< ranks are processes of one machine
};

/// What runs an operation.
enum class Target : std::uint8_t {
  kHost,  ///< worker threads, over memory of this machine
  kCuda,  ///< kernels on some SMs of a GPU, over its memory
};

struct Config {
  Target target = Target::kHost;  ///< agreed by all ranks

  /// Bytes of this rank's symmetric heap: landed rows, expert outputs in place, control block;
  /// 4096..64 GiB. Agreed by all ranks. Too small: HeapTooSmall names the missing bytes. Too large:
  /// between processes, all of it is taken from /dev/shm at once.
  std::uint64_t heap_bytes = std::uint64_t{256} << 20U;

  HeapKind heap_kind = HeapKind::kAuto;  ///< agreed by all ranks

  /// Reserved huge pages when enough are free for all ranks, else transparent ones where the system
  /// allows them. Agreed by all ranks.
  bool use_huge_pages = true;

  /// Background threads of this rank; 1..64, 0 picks the cores available divided by the ranks on
  /// this machine. Too few: the link idles. More than cores: they take turns. May differ between
  /// ranks.
  int num_workers = 0;

  /// Independent shares of each operation; 1..kMaxChannels, 0 takes the largest num_workers of any
  /// rank (target cuda: one for each warp that moves rows), at most kMaxChannels. Agreed by all
  /// ranks. Fewer than num_workers: workers idle.
  int num_channels = 0;

  /// Operations in flight, per rank, counted from the oldest that is not finished to the newest;
  /// 1..16. Agreed by all ranks. The control block grows with it.
  int max_in_flight = 4;

  /// Largest num_experts of any operation; 1..65536. Agreed by all ranks. The control block grows
  /// with it.
  int max_experts = 1024;

  /// Tokens a role moves before it lets others run; 1..4096. Small: streamed stores are waited for
  /// more often. Large: other roles of the worker wait longer. measured: Zen 5 virtual machine,
  /// deepseek-v3-train, 1024 tokens, 4 ranks on 2 cores, median of 300 dispatches: 4: 3.14 ms,
  /// 16: 2.92, 64: 2.77, 256: 2.76, 1024: 2.74
  int chunk_tokens = 64;

  /// With several nodes: bytes of each track, of which there are two each way for each channel and
  /// other node, and as many again to send from; 256..1 GiB, a multiple of 16. Agreed by all ranks.
  /// The control block grows with it. Less than a packet (a row, its scales and some 13 bytes for
  /// each of its top-k): refused. Small: the network runs dry while credits travel. Large: memory.
  std::uint64_t track_bytes = std::uint64_t{1} << 20U;

  /// With several nodes: tokens that leave for another node with one put; 1..4096. May differ
  /// between ranks. Small: puts cost more than their bytes. Large: the other side idles until the
  /// first one arrives.
  int chunk_packets = 16;

  ExpertCopies expert_copies = ExpertCopies::kBySender;  ///< agreed by all ranks

  /// Longest wait of a thread for a peer, without any progress of its own, before Timeout; 1 ms or
  /// more. Must exceed the longest time that ranks issue one operation apart. Short: a busy machine
  /// looks like a fault. The end of a peer's process is noticed sooner, as PeerLost.
  std::chrono::milliseconds timeout{30'000};

  /// Polls without progress before a worker yields, then sleeps; 0..1'000'000, -1 picks 0 where the
  /// workers of all ranks outnumber the cores, else 200. Large on a busy machine: the waiting steal
  /// time from the working.
  int spin_polls = -1;

  /// Events kept for each worker, the newest ones, for Buffer::take_trace; 0..4'194'304, 0: none
  /// are recorded. May differ between ranks. 32 bytes each. Small: an operation may be half
  /// overwritten; an operation leaves some ten events for each role.
  int trace_events = 0;

  /// Target cuda: the GPU, as CUDA numbers it; -1 takes the calling thread's current one.
  int device = -1;
  /// Target cuda: SMs that each operation occupies while it runs; 1..256. Agreed by all ranks. Few:
  /// the link idles. Many: the computation beside it has fewer. Ranks that share a GPU wait for
  /// each other, so all their SMs must fit on it together.
  int num_sms = 8;
  /// Target cuda: keep rows out of the caches' way. Off for comparison only.
  bool cache_hints = true;

  /// One field a line, "name = value".
  [[nodiscard]] std::string to_string() const;
};

inline constexpr int kMaxChannels = 256;

}  // namespace switchyard
