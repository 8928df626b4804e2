#include "csrc/runtime/buffer_state.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

#include "csrc/bootstrap/together.h"
#include "csrc/protocol/check.h"
#include "csrc/runtime/config_agreement.h"
#include "csrc/runtime/outcome.h"
#include "csrc/runtime/results.h"
#include "csrc/runtime/validate.h"
#include "switchyard/error.h"

namespace switchyard::runtime {
namespace {

/// Unique in this process: a handle of another buffer is recognised by it.
std::uint64_t next_buffer_id() {
  static std::atomic<std::uint64_t> counter{0};
  return counter.fetch_add(1, std::memory_order_relaxed) + 1;
}

protocol::ControlLayout control_layout(const Config& config, const Topology& topology) {
  const int num_ranks = topology.num_ranks;
  protocol::ControlLayout control;
  control.num_ranks = static_cast<std::uint32_t>(num_ranks);
  control.num_nodes = static_cast<std::uint32_t>(topology.num_nodes());
  control.ring_bytes = control.num_nodes == 1 ? 0 : config.track_bytes;
  control.num_slots = 2 * static_cast<std::uint32_t>(config.max_in_flight);
  control.num_channels = static_cast<std::uint32_t>(config.num_channels);
  control.max_experts_per_rank =
      static_cast<std::uint32_t>((config.max_experts + num_ranks - 1) / num_ranks);
  return control;
}

void check_one_node(const Topology& topology) {
  if (topology.num_nodes() != 1) {
    refuse("Group",
           fmt::format("{} nodes of {} ranks", topology.num_nodes(), topology.ranks_per_node),
           "one node: this build has no scale-out transport");
  }
}

constexpr std::uint64_t kBeyondCounting = std::numeric_limits<std::uint64_t>::max();

/// Bytes of a contiguous tensor, kBeyondCounting where they do not fit into 64 bits.
/// Errors: InvalidArgument for a shape or a type that no tensor has
std::uint64_t checked_bytes(DType dtype, std::span<const std::int64_t> shape) {
  if (shape.empty() || shape.size() > kMaxTensorDims) {
    refuse("allocate shape",
           fmt::format("{} ({} dimensions)", shape_text(shape), shape.size()),
           fmt::format("1 to {} dimensions", kMaxTensorDims));
  }
  std::uint64_t bytes = dtype_bytes(dtype);
  if (bytes == 0) {
    refuse("allocate dtype", fmt::format("{}", static_cast<int>(dtype)), "a value of DType");
  }
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) {
      refuse(fmt::format("allocate shape[{}]", i),
             fmt::format("{} in {}", shape[i], shape_text(shape)),
             "0 or more");
    }
    // An empty tensor has strides too: those of one row.
    const auto extent = static_cast<std::uint64_t>(std::max<std::int64_t>(shape[i], 1));
    bytes = bytes > kBeyondCounting / extent ? kBeyondCounting : bytes * extent;
  }
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  return empty && bytes <= std::uint64_t{std::numeric_limits<std::int64_t>::max()} ? 0 : bytes;
}

}  // namespace

BufferState::BufferState(Group& group, const Config& config)
    : topology_(group.topology()),
      rank_(group.rank()),
      membership_(group.membership()),
      id_(next_buffer_id()) {
  // Only these may differ between ranks; what follows is agreed, so all ranks refuse it alike.
  bootstrap::run_together(group.bootstrap(), [&] {
    if (sodium_init() < 0) {
      throw Error(ErrorCode::kInternal, "libsodium could not be initialised");
    }
    check_config(config);
  });
  check_one_node(topology_);
  config_ = agree_on_config(config, group.bootstrap());
  control_ = control_layout(config_, topology_);
  if (config_.heap_bytes <= control_.block_bytes()) {
    refuse("Config::heap_bytes",
           fmt::format("{}", config_.heap_bytes),
           fmt::format("more than the {} bytes of the control block", control_.block_bytes()));
  }
}

void BufferState::adopt_heap(Bootstrap& rendezvous, std::unique_ptr<memory::SymmetricHeap> heap) {
  heap_ = std::move(heap);
  peers_ = heap_->peers();
  watch_ = std::make_unique<memory::PeerWatch>(rendezvous);
  const std::uint64_t heap_end =
      config_.heap_bytes / memory::kRegionAlignment * memory::kRegionAlignment;
  arena_ = std::make_unique<memory::Arena>(control_.block_bytes(), heap_end);
}

OperationContext BufferState::context() const {
  OperationContext context;
  context.buffer_id = id_;
  context.config = &config_;
  context.membership = membership_;
  context.heap_bytes = config_.heap_bytes;
  context.previous_padded_epoch = last_padded_epoch_;
  context.op.peers = peers_;
  context.op.place = {topology_.node_of(rank_), topology_.num_nodes()};
  context.op.control = control_;
  context.epoch = epoch_ + 1;
  context.op.number = epoch_ + 1;
  context.op.previous = epoch_;
  context.op.epoch = protocol::epoch_tag(epoch_ + 1, control_.num_slots);
  context.op.num_channels = config_.num_channels;
  return context;
}

void BufferState::check_can_issue() const {
  if (const auto raised = fault()) {
    throw_fault(*raised, peers_.rank, config_.timeout);
  }
  const auto limit = static_cast<std::uint64_t>(config_.max_in_flight);
  // Slots are reused after 2 * max_in_flight operations; the argument needs the oldest ones to be
  // finished, not any.
  if (!unfinished_.empty() && epoch_ + 1 - *unfinished_.begin() >= limit) {
    throw InvalidState(fmt::format(
        "operations in flight: got one more while operation {} is not finished, wanted at most "
        "Config::max_in_flight = {}; finish it first",
        *unfinished_.begin(),
        limit));
  }
}

std::shared_ptr<const HandleState> BufferState::check_handle(const DispatchHandle& handle) const {
  if (!handle.valid()) {
    throw InvalidState("handle: got an empty one, wanted the handle of a dispatch of this buffer");
  }
  if (handle.state_->buffer_id != id_) {
    throw InvalidState(
        "handle: got one of another buffer (or of this one before it was rebuilt), wanted the "
        "handle of a dispatch of this buffer");
  }
  return handle.state_;
}

void BufferState::count(Operation& operation) {
  ++epoch_;
  unfinished_.insert(epoch_);
  SY_CHECK(operation.epoch == epoch_, "an operation is counted once, when it is issued");
}

void BufferState::retire(Operation& operation) {
  operation.finished = true;
  unfinished_.erase(operation.epoch);
}

void BufferState::release_if_any(std::uint64_t region) {
  if (region != protocol::kNoRegion) {
    arena_->release(region);
  }
}

void BufferState::quarantine(std::uint64_t region, std::uint64_t epoch) {
  if (region != protocol::kNoRegion) {
    quarantined_.push_back({region, epoch});
  }
}

/// An operation f that finished here was issued by every rank, each of which had then finished
/// those up to f - M, M being the operations in flight. A peer may issue M - 1 more after the
/// entry's epoch before it has finished that one and learned that the region is given up.
void BufferState::release_quarantined(std::uint64_t finished_epoch) {
  const auto limit = static_cast<std::uint64_t>(config_.max_in_flight);
  std::erase_if(quarantined_, [&](const Quarantined& entry) {
    const bool safe = finished_epoch >= entry.epoch + 2 * limit - 1;
    if (safe) {
      arena_->release(entry.region);
    }
    return safe;
  });
}

DispatchResult BufferState::make_result(std::shared_ptr<const HandleState> handle,
                                        std::unique_ptr<LandedRows> rows) {
  return DispatchResult(DispatchHandle(std::move(handle)), std::move(rows));
}

CombineResult BufferState::make_result(std::unique_ptr<CombinedRows> rows) {
  return CombineResult(std::move(rows));
}

void BufferState::abandon(const std::shared_ptr<Operation>& operation) noexcept {
  if (operation == nullptr || operation->finished) {
    return;
  }
  try {
    if (dynamic_cast<DispatchOperation*>(operation.get()) != nullptr) {
      finish_dispatch(operation);
    } else {
      finish_combine(operation);
    }
  } catch (const std::exception&) {
    // Nobody asked for the outcome; a fault of the group meets the next call.
  }
}

DispatchResult BufferState::enqueue(const DispatchRequest&) {
  refuse("enqueue", "a buffer of target host", "one of target cuda, or issue() and finish()");
}

CombineResult BufferState::enqueue(const CombineRequest&) {
  refuse("enqueue", "a buffer of target host", "one of target cuda, or issue() and finish()");
}

HeapTensor BufferState::allocate(DType dtype, std::initializer_list<std::int64_t> shape) {
  const std::uint64_t bytes = checked_bytes(dtype, {shape.begin(), shape.size()});
  const auto region = arena_->allocate(bytes);
  if (!region) {
    const std::uint64_t available = arena_->largest_free_bytes();
    throw HeapTooSmall(
        peers_.rank,
        bytes,
        available,
        fmt::format(
            "allocate: {} of {} needed {} in one region, largest free {} bytes; release "
            "earlier results, or raise Config::heap_bytes (now {}) on every rank",
            shape_text({shape.begin(), shape.size()}),
            dtype_name(dtype),
            bytes == kBeyondCounting ? "2^64 bytes or more" : fmt::format("{} bytes", bytes),
            available,
            config_.heap_bytes));
  }
  return HeapTensor(shared_from_this(), *region, TensorView(peers_.local(*region), dtype, shape));
}

std::vector<int> BufferState::lost_ranks() const {
  const auto raised = fault();
  const int named = raised && raised->cause != ErrorCode::kInternal ? raised->wait.peer : -1;
  std::vector<int> lost;
  for (int rank = 0; rank < peers_.num_ranks; ++rank) {
    if (rank == named || watch_->is_dead(rank)) {
      lost.push_back(membership_.world_rank(rank));
    }
  }
  for (int rank = 0; rank < membership_.world_ranks; ++rank) {
    const auto& members = membership_.members;
    if (std::find(members.begin(), members.end(), rank) == members.end()) {
      lost.push_back(rank);
    }
  }
  std::sort(lost.begin(), lost.end());
  return lost;
}

MemoryUse BufferState::memory_use() const {
  return {
      config_.heap_bytes, control_.block_bytes(), arena_->used_bytes(), arena_->peak_used_bytes()};
}

}  // namespace switchyard::runtime
