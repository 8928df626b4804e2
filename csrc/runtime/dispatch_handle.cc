// The public accessors of DispatchHandle.
#include <fmt/format.h>

#include "csrc/runtime/device_tables.h"
#include "csrc/runtime/handle_state.h"
#include "csrc/runtime/validate.h"
#include "switchyard/error.h"

namespace switchyard {

const runtime::HandleState& DispatchHandle::state() const {
  if (state_ == nullptr) {
    throw InvalidState("DispatchHandle: got an empty handle, wanted one that a dispatch returned");
  }
  return *state_;
}

Layout DispatchHandle::layout() const {
  return state().layout;
}
int DispatchHandle::num_tokens() const {
  return state().shape().num_tokens;
}
int DispatchHandle::hidden() const {
  return state().hidden;
}
int DispatchHandle::topk() const {
  return state().shape().topk;
}
int DispatchHandle::num_experts() const {
  return state().named_experts;
}
int DispatchHandle::max_tokens() const {
  return state().max_tokens;
}
std::int64_t DispatchHandle::num_rows() const {
  return state().num_rows;
}
std::span<const std::int32_t> DispatchHandle::rows_from_rank() const {
  return state().on_host().rows_from;
}
std::span<const std::int32_t> DispatchHandle::rows_per_expert() const {
  return state().on_host().inspection().rows_per_expert;
}
std::span<const std::int32_t> DispatchHandle::rows_per_expert_and_rank() const {
  return state().on_host().inspection().rows_per_expert_and_rank;
}
std::span<const std::int64_t> DispatchHandle::expert_offsets() const {
  return state().on_host().expert_offsets;
}
std::span<const std::int32_t> DispatchHandle::row_of_entry() const {
  return state().on_host().inspection().row_of_entry;
}
std::span<const std::int32_t> DispatchHandle::rank_of_entry() const {
  return state().on_host().source->route.rank;
}
std::span<const std::uint8_t> DispatchHandle::lost_entries() const {
  return state().on_host().source->route.lost;
}
std::vector<std::int32_t> DispatchHandle::tokens_of_rank(int rank) const {
  if (rank < 0 || rank >= state().num_ranks) {
    runtime::refuse("tokens_of_rank",
                    fmt::format("{}", rank),
                    fmt::format("a rank of the group, 0 to {}", state().num_ranks - 1));
  }
  return routing::tokens_of_rank(state().on_host().source->route, rank);
}

DeviceCounts DispatchHandle::device_counts() const {
  const runtime::HandleState& here = state();
  if (here.device == nullptr) {
    throw InvalidState("device_counts: got a handle of target host, wanted one of target cuda");
  }
  const cuda::Workspace& at = here.device->workspace();
  return {at.rows_from, at.counts_from, here.row_per_expert() ? at.expert_offsets : nullptr};
}

}  // namespace switchyard
