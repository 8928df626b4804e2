#include "tests/emulated/device/bulk_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tests/emulated/device/error.h"

namespace switchyard::emulated {
namespace {

constexpr std::size_t kWarpLanes = 32;
constexpr std::byte kGarbage{0xee};
constexpr std::uint64_t kMaxExpectedBytes = (1U << 20U) - 1;  // of the mbarrier's counter

void require(bool holds, const std::string& what) {
  if (!holds) {
    throw EmulationError(what);
  }
}

std::uintptr_t number(const void* at) {
  return reinterpret_cast<std::uintptr_t>(at);
}

}  // namespace

BulkEngine::BulkEngine(World& world, Extent shared, std::size_t num_lanes, std::uint64_t seed)
    : world_(world),
      shared_(shared),
      random_(seed),
      lanes_(num_lanes),
      acquires_((num_lanes + kWarpLanes - 1) / kWarpLanes),
      dirty_by_(shared.bytes() / 16 + 1),
      loaded_(shared.bytes() / 16 + 1) {}

std::string BulkEngine::name(const std::byte* shared) const {
  return fmt::format("shared memory + {:#x}", shared - shared_.begin);
}

void BulkEngine::check_alignment(const Extent& shared, const void* global, const char* what) const {
  require(shared_.holds(shared), std::string(what) + ": not in the block's shared memory");
  require(shared.bytes() != 0 && shared.bytes() % 16 == 0,
          fmt::format("{}: {} bytes, not a positive multiple of 16", what, shared.bytes()));
  require(number(shared.begin) % 16 == 0 && number(global) % 16 == 0,
          fmt::format("{}: {} and global {:#x} are not both aligned to 16 bytes",
                      what,
                      name(shared.begin),
                      number(global)));
  require(!shared_.overlaps(Extent::of(global, shared.bytes())),
          std::string(what) + ": its global side lies in shared memory");
  if (world_.check_access) {
    world_.check_access(global, shared.bytes(), what);
  }
}

/// Nothing under way may still read or fill the stage, as far as anybody was promised.
void BulkEngine::check_stage_is_free(const Extent& at, const char* what) const {
  for (const Store& each : stores_) {
    require(each.read_promised || !each.from.overlaps(at),
            fmt::format("{} {}: a bulk store of lane {} may still read it",
                        what,
                        name(at.begin),
                        each.lane % kWarpLanes));
  }
  for (const Load& each : loads_) {
    require(!each.to.overlaps(at),
            fmt::format("{} {}: a bulk load into it was not waited for", what, name(at.begin)));
  }
}

void BulkEngine::check_fenced_acquires(std::size_t lane, const char* what) const {
  require(lanes_[lane].fenced_acquires == acquires_[lane / kWarpLanes],
          fmt::format("{}: lane {} has no proxy fence behind the last acquire of its warp",
                      what,
                      lane % kWarpLanes));
}

void BulkEngine::load(std::size_t lane,
                      const Extent& to,
                      const std::byte* from,
                      std::uint64_t* barrier) {
  check_alignment(to, from, "bulk load");
  check_stage_is_free(to, "bulk load into");
  check_fenced_acquires(lane, "bulk load");
  const Extent source = Extent::of(from, to.bytes());
  for (const Store& each : stores_) {
    require(!source.overlaps(Extent::of(each.to, each.from.bytes())),
            "bulk load from memory that a bulk store under way writes");
  }
  Barrier& counter = barrier_at(barrier);
  counter.issued_bytes += to.bytes();
  require(counter.issued_bytes <= counter.expected_bytes,
          fmt::format("bulk load: its barrier expects {} bytes in this phase, and {} are coming",
                      counter.expected_bytes,
                      counter.issued_bytes));
  std::memset(const_cast<std::byte*>(to.begin), static_cast<int>(kGarbage), to.bytes());
  std::fill_n(loaded_.begin() + unit_of(to.begin), to.bytes() / 16, true);
  loads_.push_back({to, from, barrier, counter.phase});
  ++num_pending_;
}

void BulkEngine::store(std::size_t lane, std::byte* to, const Extent& from) {
  check_alignment(from, to, "bulk store");
  // A copy was checked when its load began: what the warp acquired since was not for it.
  if (!loaded_[unit_of(from.begin)]) {
    check_fenced_acquires(lane, "bulk store");
  }
  for (const Load& each : loads_) {
    require(
        !each.to.overlaps(from),
        fmt::format("bulk store from {}: the load into it was not waited for", name(from.begin)));
  }
  for (std::uint32_t unit = unit_of(from.begin); unit < unit_of(from.end); ++unit) {
    require(dirty_by_[unit] == 0,
            fmt::format("bulk store from {}: lane {} stored there without a proxy fence since",
                        name(from.begin),
                        (dirty_by_[unit] - 1U) % kWarpLanes));
  }
  Store made;
  made.from = from;
  made.to = to;
  made.lane = lane;
  made.group = lanes_[lane].group;
  lanes_[lane].group_open = true;
  stores_.push_back(std::move(made));
  ++num_pending_;
}

void BulkEngine::commit(std::size_t lane) {
  ++lanes_[lane].group;
  lanes_[lane].group_open = false;
}

void BulkEngine::wait_read(std::size_t lane, std::uint32_t pending) {
  const std::uint64_t groups = lanes_[lane].group;
  for (Store& each : stores_) {
    if (each.lane == lane && each.group + pending < groups) {
      read(each);
      each.read_promised = true;
    }
  }
}

void BulkEngine::wait(std::size_t lane, std::uint32_t pending) {
  Lane& own = lanes_[lane];
  wait_read(lane, pending);
  std::erase_if(stores_, [&](Store& each) {
    const bool waited = each.lane == lane && each.group + pending < own.group;
    if (waited) {
      write(each);
      own.unfenced_writes = true;
    }
    return waited;
  });
  own.waited = own.group > pending ? std::max(own.waited, own.group - pending) : own.waited;
}

BulkEngine::Barrier& BulkEngine::barrier_at(std::uint64_t* barrier) {
  const auto found = barriers_.find(barrier);
  require(found != barriers_.end(), "mbarrier: used before it was made");
  return found->second;
}

void BulkEngine::init_barrier(std::uint64_t* barrier, std::uint32_t arrivals) {
  require(shared_.holds(Extent::of(barrier, sizeof(*barrier))) && number(barrier) % 8 == 0,
          "mbarrier: not 8 aligned bytes of the block's shared memory");
  require(arrivals != 0, "mbarrier: phases without arrivals");
  require(barriers_.find(barrier) == barriers_.end(), "mbarrier: made twice");
  barriers_[barrier].arrivals = arrivals;
}

void BulkEngine::end_barrier(std::uint64_t* barrier) {
  barrier_at(barrier);
  barriers_.erase(barrier);
}

void BulkEngine::expect(std::uint64_t* barrier, std::uint32_t bytes) {
  Barrier& counter = barrier_at(barrier);
  require(counter.arrived < counter.arrivals,
          "mbarrier: bytes expected in a phase whose arrivals are in: it was armed again before it "
          "was complete");
  counter.expected_bytes += bytes;
  require(counter.expected_bytes <= kMaxExpectedBytes, "mbarrier: more bytes than it can count");
}

void BulkEngine::arrive(std::uint64_t* barrier) {
  Barrier& counter = barrier_at(barrier);
  require(counter.arrived < counter.arrivals, "mbarrier: one arrival too many in this phase");
  ++counter.arrived;
  turn(counter);
}

void BulkEngine::turn(Barrier& barrier) {
  if (barrier.arrived == barrier.arrivals && barrier.complete_bytes == barrier.expected_bytes) {
    ++barrier.phase;
    barrier.arrived = 0;
    barrier.expected_bytes = 0;
    barrier.issued_bytes = 0;
    barrier.complete_bytes = 0;
  }
}

bool BulkEngine::test(std::size_t lane, std::uint64_t* barrier, std::uint32_t parity) {
  Barrier& counter = barrier_at(barrier);
  if ((counter.phase & 1U) == parity) {
    if (num_pending_ != 0 && random_.one_in(2)) {
      run_one();
    }
    if ((counter.phase & 1U) == parity) {
      return false;
    }
  }
  std::uint64_t& seen = counter.seen[lane];
  require(seen + 1 == counter.phase,
          fmt::format("mbarrier: lane {} has seen {} phases end and takes the end of phase {} for "
                      "the next",
                      lane % kWarpLanes,
                      seen,
                      counter.phase));
  ++seen;
  std::erase_if(loads_,
                [&](const Load& each) { return each.barrier == barrier && each.phase < seen; });
  return true;
}

void BulkEngine::advance(Load& load, std::uint32_t bytes) {
  std::memcpy(const_cast<std::byte*>(load.to.begin) + load.copied, load.from + load.copied, bytes);
  load.copied += bytes;
  num_pending_ -= load.done() ? 1 : 0;
  Barrier& barrier = barrier_at(load.barrier);
  barrier.complete_bytes += bytes;
  turn(barrier);
}

void BulkEngine::read(Store& store) {
  if (!store.read) {
    store.data.assign(store.from.begin, store.from.end);
    store.read = true;
  }
}

void BulkEngine::write(Store& store) {
  read(store);
  if (!store.written) {
    std::memcpy(store.to, store.data.data(), store.data.size());
    store.written = true;
    --num_pending_;
  }
}

void BulkEngine::run_one() {
  const auto total = static_cast<std::uint32_t>(loads_.size() + stores_.size());
  std::uint32_t pick = random_.below(total);
  for (std::uint32_t tries = 0; tries < total; ++tries, pick = (pick + 1) % total) {
    if (pick >= loads_.size()) {
      Store& store = stores_[pick - loads_.size()];
      if (!store.written) {
        store.read ? write(store) : read(store);
        return;
      }
    } else if (!loads_[pick].done()) {
      Load& load = loads_[pick];
      const std::uint32_t left = load.to.bytes() - load.copied;
      advance(load,
              random_.one_in(3) && left > 16 ? 16 * (1 + random_.below(left / 16 - 1)) : left);
      return;
    }
  }
}

void BulkEngine::note_vector_store(std::size_t lane, const Extent& at) {
  if (!shared_.holds(at)) {
    return;
  }
  check_stage_is_free(at, "store into");
  const std::uint32_t unit = unit_of(at.begin);
  dirty_by_[unit] = static_cast<std::uint16_t>(lane + 1);
  loaded_[unit] = false;
  lanes_[lane].dirty.push_back(unit);
}

void BulkEngine::note_acquire(std::size_t lane) {
  ++acquires_[lane / kWarpLanes];
}

void BulkEngine::note_release(std::size_t lane) {
  const std::size_t first = lane / kWarpLanes * kWarpLanes;
  for (std::size_t other = first; other < std::min(first + kWarpLanes, lanes_.size()); ++other) {
    const Lane& each = lanes_[other];
    require(!each.group_open && each.waited == each.group,
            fmt::format("release by lane {}: bulk stores of lane {} are under way",
                        lane % kWarpLanes,
                        other % kWarpLanes));
    require(!each.unfenced_writes,
            fmt::format("release by lane {}: no proxy fence of lane {} behind its bulk stores",
                        lane % kWarpLanes,
                        other % kWarpLanes));
  }
}

void BulkEngine::fence_proxy(std::size_t lane, bool shared, bool global) {
  Lane& own = lanes_[lane];
  if (shared) {
    for (const std::uint32_t unit : own.dirty) {
      dirty_by_[unit] = dirty_by_[unit] == lane + 1 ? std::uint16_t{0} : dirty_by_[unit];
    }
    own.dirty.clear();
  }
  if (global) {
    own.unfenced_writes = false;
    own.fenced_acquires = acquires_[lane / kWarpLanes];
  }
}

void BulkEngine::check_nothing_is_left() const {
  require(loads_.empty(), "the block ends, and a bulk load was not waited for");
  require(stores_.empty(), "the block ends, and a bulk store was not waited for");
}

}  // namespace switchyard::emulated
