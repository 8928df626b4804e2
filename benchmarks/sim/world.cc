#include "benchmarks/sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "csrc/protocol/padded_permits.h"
#include "csrc/runtime/outcome.h"

namespace switchyard::sim {
namespace {

using protocol::Progress;

Config config_of(const WorldOptions& options) {
  Config config;
  config.heap_bytes = options.heap_bytes;
  config.num_channels = options.num_channels;
  config.max_in_flight = options.max_in_flight;
  config.max_experts = options.max_experts;
  config.chunk_tokens = options.chunk_tokens;
  config.expert_copies = options.expert_copies;
  config.track_bytes = options.track_bytes;
  config.chunk_packets = options.chunk_packets;
  return config;
}

/// What the count exchange writes and the other roles of a dispatch read.
std::shared_ptr<PrivateTables> tables_of(runtime::DispatchOperation& operation,
                                         WeakMemory& memory) {
  auto tables = std::make_shared<PrivateTables>(memory);
  runtime::HandleState& handle = *operation.handle;
  for (std::vector<std::int32_t>* each : {&handle.rows_of_rank,
                                          &handle.base,
                                          &handle.rows_from,
                                          &handle.counts_from,
                                          &handle.base_from,
                                          &handle.relayed_packets,
                                          &handle.relayed_rows}) {
    tables->add(each->data(), each->size());
  }
  tables->add(handle.expert_offsets.data(), handle.expert_offsets.size());
  tables->add(&handle.num_rows, 1);
  tables->add(operation.region_of_rank.data(), operation.region_of_rank.size());
  tables->add(&operation.region, 1);
  return tables;
}

/// What the announce role writes and the other roles of a combine read.
std::shared_ptr<PrivateTables> tables_of(runtime::CombineOperation& operation, WeakMemory& memory) {
  auto tables = std::make_shared<PrivateTables>(memory);
  for (std::vector<std::uint64_t>* each :
       {&operation.rows_at, &operation.row_weights_at, &operation.row_topk_weights_at}) {
    tables->add(each->data(), each->size());
  }
  tables->add(&operation.copy_in_region, 1);
  tables->add(&operation.out_region, 1);
  return tables;
}

}  // namespace

bool RunningOperation::done() const {
  return std::all_of(roles.begin(), roles.end(), [](const auto& role) { return role->done(); });
}

WorldRank::WorldRank(WeakMemory& memory,
                     Network& network,
                     const WorldOptions& options,
                     const Config& config,
                     int rank)
    : memory_(memory),
      network_(network),
      options_(options),
      config_(config),
      rank_(rank),
      peers_(memory.heaps().peers(rank)),
      caller_(memory, rank, fmt::format("rank {} caller", rank)),
      epoch_(options.first_epoch - 1),
      ring_ends_(memory.heaps().control().rails().num_rings()) {
  memory_.forget_words(ring_ends_.data(), ring_ends_.size() * sizeof(protocol::RingEnds));
  memory_.rejoin(caller_.id());
}

runtime::OperationContext WorldRank::context() {
  runtime::OperationContext context;
  context.buffer_id = 1;
  context.config = &config_;
  context.heap_bytes = memory_.heaps().heap_bytes();
  context.previous_padded_epoch = last_padded_epoch_;
  context.op.peers = peers_;
  context.op.place = {memory_.heaps().node_of(rank_), options_.num_nodes};
  context.op.control = memory_.heaps().control();
  context.epoch = epoch_ + 1;
  context.op.number = epoch_ + 1;
  context.op.previous = epoch_ < options_.first_epoch ? 0 : epoch_;
  context.op.ring_ends = ring_ends_.data();
  context.previous_combine = last_combine_;
  context.op.epoch = protocol::epoch_tag(context.epoch, context.op.control.num_slots);
  context.op.num_channels = options_.num_channels;
  return context;
}

bool WorldRank::can_issue() const {
  const auto limit = static_cast<std::uint64_t>(options_.max_in_flight);
  return unfinished_.empty() || epoch_ + 1 - *unfinished_.begin() < limit;
}

std::shared_ptr<runtime::DispatchOperation> WorldRank::prepare(
    const DispatchRequest& request, const std::shared_ptr<const runtime::HandleState>& previous) {
  auto operation = runtime::make_dispatch(context(), request, previous);
  if (operation->handle->layout == Layout::kPadded) {
    prepare_padded(*operation);
  }
  start(operation);
  return operation;
}

std::shared_ptr<runtime::CombineOperation> WorldRank::prepare(
    const CombineRequest& request, const std::shared_ptr<const runtime::HandleState>& handle) {
  auto operation = runtime::make_combine(context(), request, handle);
  start(operation);
  last_combine_ = epoch_;
  return operation;
}

std::shared_ptr<runtime::DispatchOperation> WorldRank::issue(
    const DispatchRequest& request, const std::shared_ptr<const runtime::HandleState>& previous) {
  auto operation = prepare(request, previous);
  const auto tables = tables_of(*operation, memory_);
  protocol::for_each_role(&operation->args, [&](int channel, auto role) {
    add_role(std::move(role), operation->args.op, channel, tables);
  });
  return operation;
}

std::shared_ptr<runtime::CombineOperation> WorldRank::issue(
    const CombineRequest& request, const std::shared_ptr<const runtime::HandleState>& handle) {
  auto operation = prepare(request, handle);
  const auto tables = tables_of(*operation, memory_);
  protocol::for_each_role(
      &operation->args, operation->sum_tracks.data(), [&](int channel, auto role) {
        add_role(std::move(role), operation->args.op, channel, tables);
      });
  return operation;
}

template <class Role>
void WorldRank::add_role(Role role,
                         const protocol::OperationArgs& op,
                         int channel,
                         const std::shared_ptr<PrivateTables>& tables) {
  auto& roles = running_.back().roles;
  roles.push_back(std::make_unique<SimRole>(std::move(role), memory_, op, channel, tables));
  roles.back()->attach(network_);
}

void WorldRank::start(const std::shared_ptr<runtime::Operation>& operation) {
  ++epoch_;
  unfinished_.insert(epoch_);
  operation->descriptor.publish(operation->args_op());
  memory_.forget_words(&operation->flags, sizeof(operation->flags));
  running_.push_back({operation, {}});
}

bool WorldRank::is_running(const runtime::Operation& operation) const {
  return std::any_of(running_.begin(), running_.end(), [&](const RunningOperation& each) {
    return each.operation.get() == &operation;
  });
}

bool WorldRank::is_done(const runtime::Operation& operation) const {
  return std::any_of(running_.begin(), running_.end(), [&](const RunningOperation& each) {
    return each.operation.get() == &operation && each.done();
  });
}

void WorldRank::retire(const runtime::Operation& operation) {
  const auto each = std::find_if(running_.begin(), running_.end(), [&](const auto& running) {
    return running.operation.get() == &operation;
  });
  if (each == running_.end() || !each->done()) {
    throw ModelViolation("finish of an operation that is not done");
  }
  for (const auto& role : each->roles) {
    memory_.retire(role->warp());
  }
  memory_.rejoin(caller_.id());
  unfinished_.erase(operation.epoch);
  running_.erase(each);
}

bool WorldRank::finish(runtime::DispatchOperation& operation) {
  retire(operation);
  const bool padded = operation.handle->layout == Layout::kPadded;
  if (runtime::is_corrupt(operation)) {
    return false;  // the group ends, and peers may still write there
  }
  if (operation.flags.failed != 0) {
    forget_padded();
    if (padded && operation.region != protocol::kNoRegion) {
      quarantined_.push_back({operation.region, epoch_});
    } else if (operation.region != protocol::kNoRegion) {
      release(operation.region);
    }
    operation.region = protocol::kNoRegion;
    return false;
  }
  release_quarantined(operation.epoch);
  if (padded) {
    offer_next_padded(operation);
  }
  return true;
}

bool WorldRank::finish(runtime::CombineOperation& operation) {
  retire(operation);
  if (runtime::is_corrupt(operation)) {
    return false;  // the group ends, and peers may still read there
  }
  if (operation.copy_in_region != protocol::kNoRegion) {
    release(operation.copy_in_region);
  }
  if (operation.flags.failed != 0) {
    forget_padded();
    if (operation.out_region != protocol::kNoRegion) {
      release(operation.out_region);
    }
    return false;
  }
  release_quarantined(operation.epoch);
  return true;
}

const std::byte* WorldRank::read(std::uint64_t offset, std::size_t bytes) {
  memory_.note_read(caller_.id(), at(offset), bytes);
  return at(offset);
}

std::byte* WorldRank::write(std::uint64_t offset, std::size_t bytes) {
  memory_.note_write(caller_.id(), at(offset), bytes);
  return at(offset);
}

void WorldRank::release(std::uint64_t& region) {
  caller_.release(std::exchange(region, protocol::kNoRegion));
}

void WorldRank::prepare_padded(runtime::DispatchOperation& operation) {
  protocol::PaddedArgs& padded = operation.args.padded;
  if (offered_region_ != protocol::kNoRegion) {
    if (offered_signature_ == padded.signature) {
      padded.offered_region = offered_region_;
    } else {
      quarantined_.push_back({offered_region_, epoch_ + 1});
    }
    offered_region_ = protocol::kNoRegion;
  }
  last_padded_epoch_ = epoch_ + 1;
}

void WorldRank::offer_next_padded(const runtime::DispatchOperation& operation) {
  if (last_padded_epoch_ != operation.epoch) {
    return;
  }
  const std::uint64_t bytes =
      operation.args.landing_of(operation.args.padded_rows()).region_bytes();
  offered_region_ = allocate(bytes);
  if (offered_region_ == protocol::kNoRegion) {
    return;
  }
  offered_signature_ = operation.args.padded.signature;
  protocol::post_permits(caller_, operation.args, offered_region_, protocol::kNextSignatureWord);
}

void WorldRank::forget_padded() {
  last_padded_epoch_ = 0;
  if (offered_region_ != protocol::kNoRegion) {
    quarantined_.push_back({std::exchange(offered_region_, protocol::kNoRegion), epoch_});
  }
}

void WorldRank::release_quarantined(std::uint64_t finished_epoch) {
  const auto limit = static_cast<std::uint64_t>(options_.max_in_flight);
  std::erase_if(quarantined_, [&](Quarantined& entry) {
    const bool safe = finished_epoch >= entry.epoch + 2 * limit - 1;
    if (safe) {
      release(entry.region);
    }
    return safe;
  });
}

protocol::ControlLayout World::control_of(const WorldOptions& options) {
  protocol::ControlLayout control;
  control.num_ranks = static_cast<std::uint32_t>(options.num_ranks);
  control.num_slots = static_cast<std::uint32_t>(options.num_slots == 0 ? 2 * options.max_in_flight
                                                                        : options.num_slots);
  control.num_channels = static_cast<std::uint32_t>(options.num_channels);
  control.max_experts_per_rank =
      static_cast<std::uint32_t>((options.max_experts + options.num_ranks - 1) / options.num_ranks);
  control.num_nodes = static_cast<std::uint32_t>(options.num_nodes);
  control.ring_bytes = options.num_nodes == 1 ? 0 : options.track_bytes;
  return control;
}

World::World(const WorldOptions& options)
    : options_(options),
      config_(config_of(options)),
      heaps_(control_of(options), options.heap_bytes),
      memory_(heaps_, options.seed, options.memory),
      network_(memory_, options.seed, options.network) {
  for (int rank = 0; rank < options.num_ranks; ++rank) {
    ranks_.push_back(std::make_unique<WorldRank>(memory_, network_, options_, config_, rank));
  }
}

std::string World::describe_failure(const runtime::Operation& operation) {
  const protocol::Failure& failure = operation.failure;
  return fmt::format("kind {} rank {} needed {} available {}, corrupt source {}",
                     static_cast<int>(failure.kind),
                     failure.rank,
                     failure.needed,
                     failure.available,
                     static_cast<std::int64_t>(operation.flags.corrupt) - 1);
}

void World::run_until_blocked() {
  for (bool advanced = true; advanced;) {
    advanced = false;
    for (const auto& rank : ranks_) {
      for (RunningOperation& running : rank->running()) {
        for (const auto& role : running.roles) {
          advanced = (!role->done() && role->step() != Progress::kBlocked) || advanced;
        }
      }
    }
    memory_.publish_all();
    while (network_.deliver_one()) {
      advanced = true;
    }
  }
}

}  // namespace switchyard::sim
