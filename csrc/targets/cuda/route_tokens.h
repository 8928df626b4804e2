// How one block derives the route: see route_kernel.h for what it is. Entries are taken 32 at a
// time, one per lane, whole tokens only.
#pragma once

#include <cstdint>

#include "csrc/routing/entry_codes.h"
#include "csrc/routing/placement.h"
#include "csrc/targets/cuda/route_kernel.h"
#include "csrc/targets/cuda/warp_memory.h"

namespace switchyard::cuda {
constexpr std::uint32_t kAllLanes = 0xffffffffU;

/// One entry per lane: whole tokens, as many as fit.
struct RouteEntry {
  std::int64_t index;  // in [T][K]
  std::int32_t token;
  std::int32_t position;
  std::int32_t expert;  // -1: none
  std::int32_t rank;
  bool lost;   // named an expert of a rank that is no member
  bool valid;  // of a token of this batch
};

/// The entries of other lanes that matter to this one.
struct EntryPeers {
  std::uint32_t same_row;     // of the same token and row
  std::uint32_t same_expert;  // of the same token and expert
  std::uint32_t same_rank;    // of the same token and rank
};

inline __device__ int lowest(std::uint32_t mask) {
  return __ffs(static_cast<int>(mask)) - 1;
}
inline __device__ int highest(std::uint32_t mask) {
  return 31 - __clz(static_cast<int>(mask));
}

class WarpRouter {
 public:
  __device__ WarpRouter(const RouteArgs& args, std::int32_t* counts, int warp, int num_warps)
      : args_(args),
        counts_(counts),
        lane_(static_cast<int>(threadIdx.x) % kLanes),
        tokens_per_batch_(kLanes / args.shape.topk) {
    const std::int64_t tokens = args.shape.num_tokens;
    begin_ = static_cast<std::int32_t>(tokens * warp / num_warps);
    end_ = static_cast<std::int32_t>(tokens * (warp + 1) / num_warps);
  }

  /// First pass: rows of each unit (rank or expert) among this warp's tokens.
  __device__ void count() {
    for (std::int32_t token = begin_; token < end_; token += tokens_per_batch_) {
      const RouteEntry entry = read(token, /*check=*/true);
      const EntryPeers peers = find_peers(entry);
      if (opens(entry, peers.same_row)) {
        atomicAdd(&counts_[unit_of(entry)], 1);
      }
      if (opens(entry, peers.same_expert)) {
        atomicAdd(&args_.workspace.tokens_per_expert[entry.expert], 1);
      }
    }
  }

  /// Second pass, when counts have become the ordinals of this warp's first rows.
  __device__ void write() {
    for (std::int32_t token = begin_; token < end_; token += tokens_per_batch_) {
      const RouteEntry entry = read(token, /*check=*/false);
      const EntryPeers peers = find_peers(entry);
      const std::int32_t ordinal = next_ordinal(entry, peers);
      write_entry(entry, peers, ordinal);
      write_terms(entry, peers);
    }
  }

 private:
  __device__ RouteEntry read(std::int32_t first_token, bool check) const {
    const std::int32_t topk = args_.shape.topk;
    RouteEntry entry{};
    entry.token = first_token + lane_ / topk;
    entry.position = lane_ % topk;
    entry.valid = lane_ < tokens_per_batch_ * topk && entry.token < end_;
    entry.index = std::int64_t{entry.token} * topk + entry.position;
    entry.expert = -1;
    if (!entry.valid) {
      return entry;
    }
    const std::int64_t at =
        entry.token * args_.token_stride + entry.position * args_.position_stride;
    const std::int64_t named = args_.wide_index
                                   ? static_cast<const std::int64_t*>(args_.topk_idx)[at]
                                   : static_cast<const std::int32_t*>(args_.topk_idx)[at];
    const bool maps = args_.expert_map != nullptr;
    const bool known = named >= 0 && named < (maps ? args_.map_size : args_.shape.num_experts);
    if (check && !known && named != -1) {
      args_.sequence->bad_entry = {entry.token, entry.position, named};
    }
    if (known) {
      const std::int32_t expert = maps ? args_.expert_map[named] : static_cast<std::int32_t>(named);
      entry.lost = expert < 0;
      entry.expert = entry.lost ? -1 : expert;
    }
    entry.rank = entry.expert < 0 ? -1 : entry.expert / args_.shape.experts_per_rank();
    return entry;
  }

  __device__ std::int32_t unit_of(const RouteEntry& entry) const {
    return args_.shape.row_per_expert ? entry.expert : entry.rank;
  }
  __device__ std::int32_t first_lane(const RouteEntry& entry) const {
    return lane_ - entry.position;
  }

  /// Lanes with the same key; a lane without an expert is alone.
  __device__ std::uint32_t match(const RouteEntry& entry, std::int32_t value) const {
    const bool alone = entry.expert < 0;
    const std::uint64_t group = alone ? kLanes + lane_ : lane_ / args_.shape.topk;
    return __match_any_sync(kAllLanes, group << 32U | static_cast<std::uint32_t>(value));
  }
  __device__ EntryPeers find_peers(const RouteEntry& entry) const {
    const std::uint32_t by_expert = match(entry, entry.expert);
    const std::uint32_t by_rank = match(entry, entry.rank);
    return {args_.shape.row_per_expert ? by_expert : by_rank, by_expert, by_rank};
  }
  __device__ bool opens(const RouteEntry& entry, std::uint32_t same) const {
    return entry.expert >= 0 && lowest(same) == lane_;
  }

  /// The place of the entry's row among this rank's rows of its unit: rows that open in this batch
  /// follow each other lane by lane.
  __device__ std::int32_t next_ordinal(const RouteEntry& entry, const EntryPeers& peers) {
    const bool opening = opens(entry, peers.same_row);
    const std::uint64_t key = opening ? static_cast<std::uint32_t>(unit_of(entry))
                                      : std::uint64_t{1} << 32U | static_cast<std::uint32_t>(lane_);
    const std::uint32_t same_unit = __match_any_sync(kAllLanes, key);
    std::int32_t ordinal = -1;
    if (opening) {
      const std::uint32_t before = same_unit & ((1U << lane_) - 1U);
      ordinal = counts_[unit_of(entry)] + __popc(before);
    }
    __syncwarp();
    if (opening && lowest(same_unit) == lane_) {
      counts_[unit_of(entry)] += __popc(same_unit);
    }
    __syncwarp();
    const std::int32_t of_opener = __shfl_sync(kAllLanes, ordinal, lowest(peers.same_row));
    return entry.expert < 0 ? -1 : of_opener;
  }

  __device__ void write_entry(const RouteEntry& entry,
                              const EntryPeers& peers,
                              std::int32_t ordinal) const {
    if (!entry.valid) {
      return;
    }
    const Workspace& to = args_.workspace;
    const int opener = lowest(peers.same_row) - first_lane(entry);
    to.expert[entry.index] = entry.expert;
    to.rank[entry.index] = entry.rank;
    to.ordinal[entry.index] = ordinal;
    to.opener[entry.index] =
        entry.expert < 0 ? routing::kNoOpener : static_cast<std::uint8_t>(opener);
    if (to.lost != nullptr) {
      to.lost[entry.index] = entry.lost ? 1 : 0;
    }
    if (args_.topk_weights != nullptr) {
      to.weight[entry.index] =
          args_.topk_weights[entry.token * args_.weight_token_stride + entry.position];
    }
  }

  /// Opening positions in the contract's order: by their rank's last position, then by their own.
  __device__ void write_terms(const RouteEntry& entry, const EntryPeers& peers) const {
    const int last = highest(peers.same_rank);
    const bool opening = opens(entry, peers.same_row);
    int place = 0;
    int total = 0;
    bool closes = true;
    for (int k = 0; k < args_.shape.topk; ++k) {
      const int lane = (first_lane(entry) + k) % kLanes;
      const int other_last = __shfl_sync(kAllLanes, last, lane);
      const bool other_opens = __shfl_sync(kAllLanes, opening ? 1 : 0, lane) != 0;
      const bool before = other_last < last || (other_last == last && k < entry.position);
      place += other_opens && before ? 1 : 0;
      total += other_opens ? 1 : 0;
      closes = closes && !(other_opens && other_last == last && k > entry.position);
    }
    if (!entry.valid) {
      return;
    }
    if (opening) {
      args_.workspace.terms[std::int64_t{entry.token} * args_.shape.topk + place] =
          static_cast<std::uint8_t>(entry.position | (closes ? routing::kClosesGroup : 0));
    }
    if (entry.position == 0) {
      args_.workspace.num_terms[entry.token] = static_cast<std::uint8_t>(total);
    }
  }

  const RouteArgs& args_;
  std::int32_t* counts_;  // [units], this warp's
  int lane_;
  int tokens_per_batch_;
  std::int32_t begin_;
  std::int32_t end_;
};

/// From rows per (warp, unit) to the ordinal of each warp's first row of a unit, and rows per rank.
inline __device__ void scan_counts(const RouteArgs& args,
                                   std::int32_t* counts,
                                   int units,
                                   int num_warps) {
  const WorkspaceShape& shape = args.shape;
  for (int unit = static_cast<int>(threadIdx.x); unit < units;
       unit += static_cast<int>(blockDim.x)) {
    std::int32_t next = 0;
    for (int warp = 0; warp < num_warps; ++warp) {
      std::int32_t& count = counts[warp * units + unit];
      const std::int32_t first = next;
      next += count;
      count = first;
    }
    const int rank = shape.row_per_expert ? unit / shape.experts_per_rank() : unit;
    atomicAdd(&args.workspace.rows_per_rank[rank], next);
  }
}

/// Padded places are known before anything is counted.
inline __device__ void place_padded(const RouteArgs& args) {
  const int experts = args.shape.experts_per_rank();
  const int ranks = args.shape.num_ranks;
  const auto place = [&](int expert, int source) {
    return routing::padded_base(expert, source, ranks, args.max_tokens);
  };
  for (int i = static_cast<int>(threadIdx.x); i < experts * ranks;
       i += static_cast<int>(blockDim.x)) {
    const int rank = i / experts;
    const int expert = i % experts;
    args.workspace.base_from[i] = static_cast<std::int32_t>(place(expert, rank));
    args.workspace.base[i] = static_cast<std::int32_t>(place(expert, args.this_rank));
  }
  for (int expert = static_cast<int>(threadIdx.x); expert <= experts;
       expert += static_cast<int>(blockDim.x)) {
    args.workspace.expert_offsets[expert] = place(expert, 0);
  }
  for (int rank = static_cast<int>(threadIdx.x); rank < ranks;
       rank += static_cast<int>(blockDim.x)) {
    args.workspace.rows_of_rank[rank] = static_cast<std::int32_t>(place(experts, 0));
  }
}

inline __device__ void clear(std::int32_t* words, int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    words[i] = 0;
  }
}

inline __global__ void __launch_bounds__(kMaxRouteWarps* kLanes, 1)
    route_kernel(const __grid_constant__ RouteArgs args) {
  extern __shared__ std::int32_t counts[];
  const int num_warps = static_cast<int>(blockDim.x) / kLanes;
  const int warp = static_cast<int>(threadIdx.x) / kLanes;
  const int units = args.shape.row_per_expert ? args.shape.num_experts : args.shape.num_ranks;
  clear(counts, num_warps * units);
  clear(args.workspace.tokens_per_expert, args.shape.num_experts);
  clear(args.workspace.rows_per_rank, args.shape.num_ranks);
  if (threadIdx.x == 0) {
    args.sequence->bad_entry.token = -1;
  }
  __syncthreads();
  WarpRouter router(args, counts + warp * units, warp, num_warps);
  router.count();
  __syncthreads();
  scan_counts(args, counts, units, num_warps);
  if (args.max_tokens > 0) {
    place_padded(args);
  }
  __syncthreads();
  router.write();
}

}  // namespace switchyard::cuda
