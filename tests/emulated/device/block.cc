#include "tests/emulated/device/block.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "tests/emulated/device/cuda_in_gcc.h"
#include "tests/emulated/device/error.h"

namespace switchyard::emulated {
namespace {

constexpr std::byte kPoison{0xdb};
/// Polls without anything else after which a block gives its turn away.
constexpr std::uint64_t kIdlePolls = 500;

thread_local Block* current_block = nullptr;

const char* name_of(Meeting how) {
  const char* names[] = {"__syncwarp", "a shuffle", "__match_any_sync", "warp_elect"};
  return names[static_cast<std::size_t>(how)];
}

std::string text_of(const Place& where) {
  const std::string_view path = where.file;
  return fmt::format("{}:{}", path.substr(path.find_last_of('/') + 1), where.line);
}

}  // namespace

Block& Block::current() {
  return *current_block;
}

Block::Block(World& world, BlockShape shape, Extent shared, const std::function<void()>& kernel)
    : world_(world),
      shape_(std::move(shape)),
      shared_(shared),
      kernel_(kernel),
      random_(world.draw_seed()),
      engine_(world, shared, shape_.num_threads, world.draw_seed()),
      stacks_(shape_.num_threads),
      body_([this] { lane_body(); }),
      lanes_(shape_.num_threads),
      warps_(shape_.num_threads / 32),
      num_left_(shape_.num_threads) {
  if (shape_.num_threads % 32 != 0) {
    throw EmulationError("a block of warps that are not full");
  }
}

void Block::start_lanes() {
  std::memset(const_cast<std::byte*>(shared_.begin), static_cast<int>(kPoison), shared_.bytes());
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    lanes_[lane].fiber.prepare(stacks_.stack(lane), &body_);
  }
  for (Warp& warp : warps_) {
    warp.runnable = ~0U;
    warp.elected = random_.below(32);
  }
}

void Block::run() {
  current_block = this;
  blockIdx = {shape_.block, 0, 0};
  gridDim = {shape_.num_blocks, 1, 1};
  blockDim = {shape_.num_threads, 1, 1};
  start_lanes();
  std::uint32_t slice = 0;
  while (num_left_ != 0) {
    if (slice-- == 0 || idle_polls_ > kIdlePolls || !step()) {
      idle_polls_ = 0;
      slice = 1 + random_.below(world_.chaos().slice_steps);
      world_.tick(16);
      world_.pass();
      if (world_.failed()) {
        return;
      }
    }
  }
  engine_.check_nothing_is_left();
}

/// One lane goes on, and perhaps the bulk-copy engine. False when nothing can.
bool Block::step() {
  world_.tick();
  if (engine_.busy() && random_.one_in(16)) {
    engine_.run_one();
  }
  thaw();
  const auto lane = pick();
  if (lane) {
    resume(*lane);
    if (error_) {
      std::rethrow_exception(error_);
    }
    return true;
  }
  if (frozen_.empty()) {
    report_stuck();
  }
  return false;
}

std::optional<std::size_t> Block::pick() {
  if (warps_[warp_].runnable == 0 || random_.one_in(world_.chaos().stay_one_in)) {
    warp_ = random_.below(static_cast<std::uint32_t>(warps_.size()));
    for (std::size_t tries = 0; warps_[warp_].runnable == 0; ++tries) {
      if (tries == warps_.size()) {
        return std::nullopt;
      }
      warp_ = (warp_ + 1) % warps_.size();
    }
  }
  const auto turn = static_cast<int>(random_.below(32));
  const int bit = std::countr_zero(std::rotr(warps_[warp_].runnable, turn));
  return warp_ * 32 + static_cast<std::size_t>((bit + turn) % 32);
}

void Block::resume(std::size_t lane) {
  lane_ = lane;
  threadIdx = {static_cast<unsigned>(lane), 0, 0};
  scheduler_.switch_to(lanes_[lane].fiber);
}

void Block::suspend(State state) {
  Lane& lane = lanes_[lane_];
  lane.state = state;
  if (state != State::kRunnable) {
    warps_[warp()].runnable &= ~(1U << (lane_ % 32));
  }
  lane.fiber.switch_to(scheduler_);
}

void Block::wake(std::size_t lane) {
  lanes_[lane].state = State::kRunnable;
  warps_[lane / 32].runnable |= 1U << (lane % 32);
}

void Block::thaw() {
  std::erase_if(frozen_, [&](const Frozen& each) {
    const bool over = each.until <= world_.steps();
    if (over) {
      wake(each.lane);
    }
    return over;
  });
}

void Block::maybe_yield() {
  const Chaos& chaos = world_.chaos();
  if (random_.one_in(chaos.freeze_one_in)) {
    frozen_.push_back({lane_, world_.steps() + random_.below(chaos.freeze_steps)});
    suspend(State::kFrozen);
  } else if (random_.one_in(chaos.yield_one_in)) {
    suspend(State::kRunnable);
  }
}

/// A lane's release covers what other lanes stored before they met, and nothing since. (A store
/// that the text has behind the release would do no harm; the kernels have none without a meeting.)
void Block::note_store() {
  Warp& own = warps_[warp()];
  const std::uint32_t bit = 1U << (lane_ % 32);
  own.stored |= bit;
  if ((own.released & ~bit) != 0) {
    throw EmulationError("a store beside a release of another lane, and no meeting orders them");
  }
}

void Block::note_release() {
  Warp& own = warps_[warp()];
  const std::uint32_t bit = 1U << (lane_ % 32);
  own.released |= bit;
  if ((own.stored & ~bit) != 0) {
    throw EmulationError("a release beside stores of other lanes, and no meeting orders them");
  }
  engine_.note_release(lane_);
}

void Block::lane_body() {
  try {
    kernel_();
  } catch (const std::exception& error) {
    error_ = std::make_exception_ptr(
        EmulationError(fmt::format("{}: {}", describe(lane_), error.what())));
  }
  Warp& own = warps_[warp()];
  own.ended |= 1U << (lane_ % 32);
  own.runnable &= ~(1U << (lane_ % 32));
  lanes_[lane_].state = State::kEnded;
  --num_left_;
  try {
    if (!error_) {
      check_meeting(own);
    }
  } catch (const EmulationError&) {
    error_ = std::current_exception();
  }
  lanes_[lane_].fiber.end_in(scheduler_);
}

const std::uint64_t* Block::meet_warp(Meeting how, std::uint64_t brings, const Place& where) {
  Warp& own = warps_[warp()];
  Lane& lane = lanes_[lane_];
  const std::uint32_t board = own.turn;
  own.board[board][lane_ % 32] = brings;
  own.arrived |= 1U << (lane_ % 32);
  lane.how = how;
  lane.where = where;
  check_meeting(own);
  if (own.arrived == ~0U) {
    complete_meeting(own);
  } else {
    suspend(State::kAtWarp);
  }
  return own.board[board];
}

/// A lane that ended, or waits elsewhere, will not come.
void Block::check_meeting(const Warp& warp) {
  if (warp.arrived == 0 || (warp.arrived | warp.ended) != ~0U || warp.ended == 0) {
    return;
  }
  const std::size_t first = warp_ * 32;
  throw EmulationError(
      fmt::format("{} waits, but lanes {:#x} of its warp have ended",
                  describe(first + static_cast<std::size_t>(std::countr_zero(warp.arrived))),
                  warp.ended));
}

void Block::complete_meeting(Warp& warp) {
  const std::size_t first = lane_ / 32 * 32;
  const Lane& own = lanes_[lane_];
  for (std::size_t lane = first; lane < first + 32; ++lane) {
    const Lane& other = lanes_[lane];
    if (other.how != own.how || other.where.line != own.where.line ||
        std::string_view(other.where.file) != own.where.file) {
      throw EmulationError(
          fmt::format("{} meets {}: they went apart", describe(lane), describe(lane_)));
    }
    if (lane != lane_) {
      wake(lane);
    }
  }
  warp.arrived = 0;
  warp.stored = 0;
  warp.released = 0;
  warp.turn ^= 1U;
}

void Block::meet_block(const Place& where) {
  lanes_[lane_].where = where;
  if (num_left_ != lanes_.size()) {
    throw EmulationError("__syncthreads, and some lanes have ended");
  }
  if (++num_at_block_ < lanes_.size()) {
    suspend(State::kAtBlock);
    return;
  }
  num_at_block_ = 0;
  for (Warp& warp : warps_) {
    warp.stored = 0;
    warp.released = 0;
  }
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    if (lane != lane_) {
      wake(lane);
    }
  }
}

std::string Block::describe(std::size_t lane) const {
  const Lane& each = lanes_[lane];
  const char* at = each.state == State::kAtBlock ? "__syncthreads" : name_of(each.how);
  return fmt::format("{}, block {}, warp {} lane {} at {} of {}",
                     shape_.name,
                     shape_.block,
                     lane / 32,
                     lane % 32,
                     at,
                     text_of(each.where));
}

void Block::report_stuck() const {
  std::string text = "lanes wait for each other for ever:";
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    const State state = lanes_[lane].state;
    const bool as_before = lane % 32 != 0 && lanes_[lane - 1].state == state &&
                           lanes_[lane - 1].where.line == lanes_[lane].where.line;
    if (!as_before && state != State::kEnded) {
      text += "\n  from " + describe(lane);
    }
  }
  throw EmulationError(text);
}

// lane.h

void maybe_yield() {
  Block::current().maybe_yield();
}

void note_poll() {
  Block::current().note_poll();
  maybe_yield();
}

const std::uint64_t* meet_warp(Meeting how,
                               std::uint32_t lanes,
                               std::uint64_t brings,
                               const Place& where) {
  if (lanes != ~0U) {
    throw EmulationError(fmt::format("{} of lanes {:#x} only", name_of(how), lanes));
  }
  return Block::current().meet_warp(how, brings, where);
}

void meet_block(const Place& where) {
  Block::current().meet_block(where);
}

bool is_elected(std::uint32_t lanes, const Place& where) {
  meet_warp(Meeting::kElect, lanes, 0, where);
  return lane_of_warp() == Block::current().elected();
}

std::uint32_t lane_of_warp() {
  return static_cast<std::uint32_t>(Block::current().lane() % 32);
}

std::uint64_t virtual_time_ns() {
  return Block::current().world().now_ns();
}

void note_store(const void* at, std::size_t bytes) {
  Block& block = Block::current();
  block.note_action();
  block.maybe_yield();
  block.note_store();
  if (block.world().check_access) {
    block.world().check_access(at, bytes, "store");
  }
}

std::uint64_t carry_word(const void* at, std::uint64_t value) {
  const World& world = Block::current().world();
  return world.carry_word ? world.carry_word(at, value) : value;
}

void note_vector_store(const void* at, std::size_t bytes) {
  if (current_block != nullptr) {
    current_block->engine().note_vector_store(current_block->lane(), Extent::of(at, bytes));
  }
}

void note_acquire() {
  Block::current().engine().note_acquire(Block::current().lane());
}

void note_release(const void* word) {
  Block& block = Block::current();
  block.note_action();
  if (!block.world().is_exempt || !block.world().is_exempt(word)) {
    block.note_release();
  }
}

void fence_proxy(bool shared, bool global) {
  Block::current().engine().fence_proxy(Block::current().lane(), shared, global);
}

void bulk_load(void* to, const void* from, std::uint32_t bytes, std::uint64_t* barrier) {
  maybe_yield();
  Block& block = Block::current();
  block.note_action();
  block.engine().load(
      block.lane(), Extent::of(to, bytes), static_cast<const std::byte*>(from), barrier);
  maybe_yield();
}

void bulk_store(void* to, const void* from, std::uint32_t bytes) {
  maybe_yield();
  Block& block = Block::current();
  block.note_action();
  block.engine().store(block.lane(), static_cast<std::byte*>(to), Extent::of(from, bytes));
  maybe_yield();
}

void bulk_commit() {
  Block::current().engine().commit(Block::current().lane());
}

void bulk_wait(std::uint32_t pending) {
  maybe_yield();
  Block::current().engine().wait(Block::current().lane(), pending);
}

void bulk_wait_read(std::uint32_t pending) {
  maybe_yield();
  Block::current().engine().wait_read(Block::current().lane(), pending);
}

void mbarrier_init(std::uint64_t* barrier, std::uint32_t arrivals) {
  Block::current().engine().init_barrier(barrier, arrivals);
}

void mbarrier_end(std::uint64_t* barrier) {
  Block::current().engine().end_barrier(barrier);
}

void mbarrier_expect(std::uint64_t* barrier, std::uint32_t bytes) {
  maybe_yield();
  Block::current().engine().expect(barrier, bytes);
}

void mbarrier_arrive(std::uint64_t* barrier) {
  Block::current().engine().arrive(barrier);
  maybe_yield();
}

bool mbarrier_test(std::uint64_t* barrier, std::uint32_t parity) {
  maybe_yield();
  Block& block = Block::current();
  const bool complete = block.engine().test(block.lane(), barrier, parity);
  if (!complete) {
    block.maybe_yield();
  }
  return complete;
}

}  // namespace switchyard::emulated
