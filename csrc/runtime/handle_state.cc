#include "csrc/runtime/handle_state.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "csrc/routing/placement.h"
#include "csrc/runtime/device_tables.h"

namespace switchyard::runtime {

void HandleState::prepare_tables(int peer, int num_channels) {
  const auto ranks = static_cast<std::size_t>(num_ranks);
  const auto experts = static_cast<std::size_t>(shape().experts_per_rank());
  const auto bases = static_cast<std::size_t>(bases_per_rank());
  rows_of_rank.resize(static_cast<std::size_t>(ranks_per_node()));
  base.resize(ranks * bases);
  rows_from.resize(ranks);
  counts_from.resize(ranks * experts);
  base_from.resize(ranks * bases);
  expert_offsets.resize(row_per_expert() ? experts + 1 : 0);
  if (place.num_nodes > 1) {
    count_packets(num_channels);
    relayed_packets.resize(packets.size());
    relayed_rows.resize(base.size());
  }
  if (layout == Layout::kPadded) {
    place_padded(peer);
  }
}

/// Tokens that each channel has for each node, as roles share them out.
void HandleState::count_packets(int num_channels) {
  const routing::Route& route = source->route;
  packets.assign(static_cast<std::size_t>(place.num_nodes * num_channels), 0);
  std::vector<int> seen(static_cast<std::size_t>(place.num_nodes), -1);
  for (int channel = 0; channel < num_channels; ++channel) {
    const protocol::Share share = protocol::share_of(shape().num_tokens, channel, num_channels);
    for (auto token = static_cast<int>(share.begin); token < share.end; ++token) {
      for (int k = 0; k < shape().topk; ++k) {
        const std::int32_t rank = route.rank[static_cast<std::size_t>(token * shape().topk + k)];
        const int node = rank / ranks_per_node();
        if (rank >= 0 && std::exchange(seen[static_cast<std::size_t>(node)], token) != token) {
          ++packets[static_cast<std::size_t>(node * num_channels + channel)];
        }
      }
    }
  }
}

void HandleState::place_padded(int peer) {
  const auto experts = static_cast<std::size_t>(shape().experts_per_rank());
  const auto first_row = [&](std::size_t expert, int from) {
    return static_cast<std::int32_t>(
        routing::padded_base(static_cast<int>(expert), from, num_ranks, max_tokens));
  };
  for (std::size_t expert = 0; expert < experts; ++expert) {
    expert_offsets[expert] = first_row(expert, 0);
    for (int rank = 0; rank < num_ranks; ++rank) {
      // Of the rank of the same node that sends what comes from this peer's rail.
      const int sender = rank / ranks_per_node() * ranks_per_node() + peer;
      const std::size_t at = static_cast<std::size_t>(rank) * experts + expert;
      base_from[at] = first_row(expert, rank);
      base[at] = first_row(expert, sender);
    }
  }
  expert_offsets[experts] = first_row(experts, 0);
  num_rows = expert_offsets[experts];
  rows_of_rank.assign(rows_of_rank.size(), static_cast<std::int32_t>(num_rows));
}

const HandleState& HandleState::on_host() const {
  if (device == nullptr) {
    return *this;
  }
  std::call_once(look_.fetch_once, [this] {
    auto fetched = std::make_unique<HandleState>(*this);
    fetched->device = nullptr;
    device->fetch(*fetched);
    look_.fetched = std::move(fetched);
  });
  return *look_.fetched;
}

const Inspection& HandleState::inspection() const {
  std::call_once(look_.once, [this] { inspect(look_.tables); });
  return look_.tables;
}

void HandleState::inspect(Inspection& tables) const {
  const auto ranks = static_cast<std::size_t>(num_ranks);
  const auto experts = static_cast<std::size_t>(shape().experts_per_rank());
  tables.rows_per_expert.assign(experts, 0);
  tables.rows_per_expert_and_rank.resize(experts * ranks);
  for (std::size_t peer = 0; peer < ranks; ++peer) {
    for (std::size_t expert = 0; expert < experts; ++expert) {
      const std::int32_t count = counts_from[peer * experts + expert];
      tables.rows_per_expert[expert] += count;
      tables.rows_per_expert_and_rank[expert * ranks + peer] = count;
    }
  }
  const routing::Route& route = source->route;
  tables.row_of_entry.assign(route.expert.size(), -1);
  for (std::size_t i = 0; i < route.expert.size(); ++i) {
    // The base table's rows of this node are this rank's own.
    if (route.expert[i] >= 0 && route.rank[i] / ranks_per_node() == place.node) {
      const auto unit =
          static_cast<std::size_t>(row_per_expert() ? route.expert[i] : route.rank[i]);
      tables.row_of_entry[i] = base[unit] + route.ordinal[i];
    }
  }
}

}  // namespace switchyard::runtime
