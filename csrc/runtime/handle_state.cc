#include "csrc/runtime/handle_state.h"

#include <utility>

#include "csrc/routing/placement.h"
#include "csrc/runtime/device_tables.h"

namespace switchyard::runtime {

void HandleState::prepare_tables(int rank) {
  const auto ranks = static_cast<std::size_t>(num_ranks);
  const auto experts = static_cast<std::size_t>(shape().experts_per_rank());
  const auto bases = static_cast<std::size_t>(bases_per_rank());
  rows_of_rank.resize(ranks);
  base.resize(ranks * bases);
  rows_from.resize(ranks);
  counts_from.resize(ranks * experts);
  base_from.resize(ranks * bases);
  expert_offsets.resize(row_per_expert() ? experts + 1 : 0);
  if (layout != Layout::kPadded) {
    return;
  }
  const auto place = [&](std::size_t expert, int peer) {
    return routing::padded_base(static_cast<int>(expert), peer, num_ranks, max_tokens);
  };
  for (std::size_t expert = 0; expert < experts; ++expert) {
    expert_offsets[expert] = place(expert, 0);
    for (std::size_t peer = 0; peer < ranks; ++peer) {
      base_from[peer * experts + expert] =
          static_cast<std::int32_t>(place(expert, static_cast<int>(peer)));
      base[peer * experts + expert] = static_cast<std::int32_t>(place(expert, rank));
    }
  }
  expert_offsets[experts] = place(experts, 0);
  num_rows = expert_offsets[experts];
  rows_of_rank.assign(ranks, static_cast<std::int32_t>(num_rows));
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
    if (route.expert[i] >= 0) {
      const auto unit =
          static_cast<std::size_t>(row_per_expert() ? route.expert[i] : route.rank[i]);
      tables.row_of_entry[i] = base[unit] + route.ordinal[i];
    }
  }
}

}  // namespace switchyard::runtime
