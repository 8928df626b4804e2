// One block of a kernel: its lanes as fibers on one OS thread, and the scheduler that picks who
// goes on. Lanes meet where they must and drift apart everywhere else, as far as a seed likes.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/emulated/device/bulk_engine.h"
#include "tests/emulated/device/fiber.h"
#include "tests/emulated/device/lane.h"
#include "tests/emulated/device/world.h"

namespace switchyard::emulated {

struct BlockShape {
  std::uint32_t block = 0;
  std::uint32_t num_blocks = 1;
  std::uint32_t num_threads = 32;
  std::string name;  ///< for messages: "rank 2 dispatch, block 1"
};

class Block {
 public:
  /// `kernel` is called by every lane. `shared` is what `extern __shared__` arrays are to it.
  Block(World& world, BlockShape shape, Extent shared, const std::function<void()>& kernel);

  /// Runs all lanes to their end. Called by the thread whose shared memory it is.
  /// Errors: whatever a lane threw; EmulationError when the lanes cannot go on
  void run();

  /// The block whose lane runs in this thread.
  static Block& current();

  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] BulkEngine& engine() { return engine_; }
  [[nodiscard]] std::size_t lane() const { return lane_; }
  [[nodiscard]] std::size_t warp() const { return lane_ / 32; }

  void maybe_yield();
  void note_poll() { ++idle_polls_; }
  void note_action() { idle_polls_ = 0; }
  void note_store();
  void note_release();
  const std::uint64_t* meet_warp(Meeting how, std::uint64_t brings, const Place& where);
  void meet_block(const Place& where);
  [[nodiscard]] std::uint32_t elected() const { return warps_[lane_ / 32].elected; }

 private:
  enum class State : std::uint8_t { kRunnable, kAtWarp, kAtBlock, kFrozen, kEnded };

  struct Lane {
    Fiber fiber;
    State state = State::kRunnable;
    Meeting how = Meeting::kSyncWarp;
    Place where;
  };
  struct Warp {
    std::uint32_t runnable = 0;  ///< lanes, by bit
    std::uint32_t arrived = 0;
    std::uint32_t ended = 0;
    std::uint32_t elected = 0;
    std::uint32_t turn = 0;      ///< which of the two boards lanes write to
    std::uint32_t stored = 0;    ///< lanes, since they last met
    std::uint32_t released = 0;  ///< the same
    std::uint64_t board[2][32] = {};
  };
  struct Frozen {
    std::size_t lane;
    std::uint64_t until;
  };

  void start_lanes();
  void lane_body();
  bool step();
  std::optional<std::size_t> pick();
  void resume(std::size_t lane);
  void suspend(State state);
  void wake(std::size_t lane);
  void thaw();
  void complete_meeting(Warp& warp);
  void check_meeting(const Warp& warp);
  [[noreturn]] void report_stuck() const;
  [[nodiscard]] std::string describe(std::size_t lane) const;

  World& world_;
  BlockShape shape_;
  Extent shared_;
  const std::function<void()>& kernel_;
  Random random_;
  BulkEngine engine_;
  StackArena stacks_;
  Fiber scheduler_;
  std::function<void()> body_;
  std::vector<Lane> lanes_;
  std::vector<Warp> warps_;
  std::vector<Frozen> frozen_;
  std::size_t lane_ = 0;  // that runs
  std::size_t warp_ = 0;  // that the scheduler stays with
  std::size_t num_left_ = 0;
  std::size_t num_at_block_ = 0;
  std::uint64_t idle_polls_ = 0;
  std::exception_ptr error_;
};

}  // namespace switchyard::emulated
