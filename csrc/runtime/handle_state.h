// What one dispatch leaves behind for combine and for dispatching again: the route of this rank's
// tokens, where they went, and what landed here.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "csrc/protocol/operation.h"
#include "csrc/protocol/row_ranges.h"
#include "csrc/routing/route.h"
#include "switchyard/dispatch.h"

namespace switchyard::runtime {

class DeviceTables;

/// This rank as a source; shared by every dispatch along one route.
struct SourceRoute {
  routing::Route route;
  bool weighted = false;
  std::vector<float> weight;  ///< [num_tokens][topk] when weighted
  DType index_dtype = DType::kInt32;
};

/// What a handle can tell that no operation needs.
struct Inspection {
  std::vector<std::int32_t> rows_per_expert;           ///< [experts_per_rank]
  std::vector<std::int32_t> rows_per_expert_and_rank;  ///< [experts_per_rank][num_ranks]
  /// [num_tokens][topk]; -1 also for experts of other nodes, whose ranks tell only their own node
  std::vector<std::int32_t> row_of_entry;
};

class HandleState {
 public:
  std::uint64_t buffer_id = 0;
  std::uint64_t epoch = 0;  ///< of the dispatch that counted
  std::shared_ptr<const SourceRoute> source;
  /// Where kernels keep the tables; then those below, and the route's, are empty. Null on the host.
  std::shared_ptr<const DeviceTables> device;

  Layout layout = Layout::kRankMajor;
  int named_experts = 0;  ///< that the caller may name, those of ranks that are no members too
  int hidden = 0;
  int num_ranks = 1;  ///< of all nodes
  protocol::NodePlace place{};
  int max_tokens = 0;
  int expert_alignment = 1;
  bool zero_padding = false;

  std::vector<std::int32_t> rows_of_rank;  ///< [ranks_per_node] rows of each peer's landing
  /// [num_nodes][ranks_per_node][bases_per_rank] first rows there of the rank of each node that this
  /// one stands for, or is
  std::vector<std::int32_t> base;
  // With several nodes.
  std::vector<std::int32_t> packets;          ///< [num_nodes][num_channels] to each node
  std::vector<std::int32_t> relayed_packets;  ///< [num_nodes][num_channels] from each node
  std::vector<std::int32_t> relayed_rows;     ///< as `base`: rows of those ranks

  std::vector<std::int32_t> rows_from;       ///< [num_ranks]
  std::vector<std::int32_t> counts_from;     ///< [num_ranks][experts_per_rank]
  std::vector<std::int32_t> base_from;       ///< [num_ranks][bases_per_rank]
  std::vector<std::int64_t> expert_offsets;  ///< [experts_per_rank + 1]; empty for rank-major
  std::int64_t num_rows = 0;

  [[nodiscard]] const routing::RouteShape& shape() const { return source->route.shape; }
  [[nodiscard]] int ranks_per_node() const { return num_ranks / place.num_nodes; }
  [[nodiscard]] bool row_per_expert() const { return layout != Layout::kRankMajor; }
  [[nodiscard]] int bases_per_rank() const {
    return row_per_expert() ? shape().experts_per_rank() : 1;
  }
  /// Where each source's rows lie here.
  [[nodiscard]] protocol::RowRuns runs() const {
    return {row_per_expert() ? counts_from.data() : rows_from.data(),
            base_from.data(),
            bases_per_rank()};
  }

  /// This one, or a copy whose tables were read from the device at the first look. Thread-safe.
  [[nodiscard]] const HandleState& on_host() const;

  /// Sizes the tables for a dispatch about to count; padded places are known at once.
  /// `peer`: this rank within its node
  void prepare_tables(int peer, int num_channels);

  /// Tables for whoever looks into the handle, which is on the host; made at the first look.
  /// Thread-safe.
  [[nodiscard]] const Inspection& inspection() const;

 private:
  /// A copied handle looks for itself.
  struct Look {
    Look() = default;
    Look(const Look&) {}
    Look& operator=(const Look&) = delete;
    std::once_flag once;
    Inspection tables;
    std::once_flag fetch_once;
    std::unique_ptr<const HandleState> fetched;
  };
  void inspect(Inspection& tables) const;
  void count_packets(int num_channels);
  void place_padded(int peer);

  mutable Look look_;
};

}  // namespace switchyard::runtime
