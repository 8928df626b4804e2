#include "csrc/runtime/device_tables.h"

#include <cstring>
#include <utility>
#include <vector>

namespace switchyard::runtime {
namespace {

template <class T>
void take(std::vector<T>& to, const T* from, std::int64_t count) {
  to.assign(from, from + count);
}

}  // namespace

DeviceTables::DeviceTables(std::shared_ptr<targets::Device> device,
                           const cuda::WorkspaceShape& shape)
    : device_(std::move(device)),
      shape_(shape),
      memory_(device_, cuda::Workspace().place(shape, nullptr)) {
  workspace_.place(shape_, memory_.data());
}

void DeviceTables::fetch(HandleState& handle) const {
  cuda::Workspace at;
  std::vector<std::byte> copy(at.place(shape_, nullptr));
  at.place(shape_, copy.data());
  device_->read(copy.data(), memory_.data(), copy.size());
  const std::int64_t ranks = shape_.num_ranks;
  const std::int64_t bases = ranks * shape_.bases_per_rank();
  take(handle.rows_of_rank, at.rows_of_rank, ranks);
  take(handle.base, at.base, bases);
  take(handle.rows_from, at.rows_from, ranks);
  take(handle.counts_from, at.counts_from, shape_.num_experts);
  take(handle.base_from, at.base_from, bases);
  if (shape_.row_per_expert) {
    take(handle.expert_offsets, at.expert_offsets, shape_.experts_per_rank() + 1);
  }
  auto source = std::make_shared<SourceRoute>(*handle.source);
  take(source->route.expert, at.expert, shape_.num_entries());
  take(source->route.rank, at.rank, shape_.num_entries());
  take(source->route.ordinal, at.ordinal, shape_.num_entries());
  if (shape_.has_lost) {
    take(source->route.lost, at.lost, shape_.num_entries());
  }
  handle.source = std::move(source);
}

}  // namespace switchyard::runtime
