// The one clock and the one turn of an emulated machine: threads that stand for hosts of ranks and
// for blocks of kernels run one at a time, and a seed decides who is next. So a run can be
// replayed, and a rank can look at its results while every other one stands still.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <vector>

#include "tests/emulated/device/random.h"

namespace switchyard::emulated {

/// How hostile a run is.
struct Chaos {
  std::uint32_t yield_one_in = 8;       ///< memory operations that let other lanes go first
  std::uint32_t freeze_one_in = 4096;   ///< memory operations at which a lane falls asleep
  std::uint32_t freeze_steps = 20'000;  ///< at most so long
  std::uint32_t slice_steps = 2'000;    ///< of a block, at most, before another one's turn
  std::uint32_t stay_one_in = 4;        ///< lane steps after which another warp goes on
};

class World {
 public:
  /// Draws the chaos from the seed.
  explicit World(std::uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] Chaos& chaos() { return chaos_; }
  [[nodiscard]] std::uint64_t draw_seed() { return random_.next(); }

  /// Runs every body as a thread, taking turns, until all have ended. Called by the owner, or by a
  /// body (kernels are launched so). Throws EmulationError with what went wrong first.
  void run_all(const std::vector<std::function<void()>>& bodies);

  /// Gives the turn away; returns when it comes back.
  /// Called by: whoever has the turn
  void pass();

  /// Time goes on by one step of a lane. Throws EmulationError when a run takes too long.
  void tick(std::uint64_t steps = 1);
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  [[nodiscard]] std::uint64_t now_ns() const { return steps_ * kStepNs; }
  static constexpr std::uint64_t kStepNs = 10;

  [[nodiscard]] bool failed() const { return failure_.has_value(); }
  void set_step_limit(std::uint64_t steps) { step_limit_ = steps; }

  /// What a memory access must satisfy, if anything: called for bulk copies and stores of rows.
  std::function<void(const void* at, std::size_t bytes, const char* what)> check_access;
  /// Whether a word may be released while rows are under way (a fault record).
  std::function<bool(const void* word)> is_exempt;
  /// What becomes of a 64-bit word on its way, if anything may.
  std::function<std::uint64_t(const void* at, std::uint64_t value)> carry_word;

 private:
  struct Seat {
    std::binary_semaphore turn{0};
    std::uint32_t pace = 1;
  };

  void hand_over();
  void leave(const Seat* seat);
  Seat* new_seat();
  void run_body(Seat* seat, const std::function<void()>& body);

  static thread_local Seat* own_seat;

  Random random_;
  Chaos chaos_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<Seat*> ready_;
  std::uint64_t steps_ = 0;
  std::uint64_t step_limit_ = 40'000'000;
  std::optional<std::string> failure_;
};

}  // namespace switchyard::emulated
