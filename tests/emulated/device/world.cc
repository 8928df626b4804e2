#include "tests/emulated/device/world.h"

#include <algorithm>
#include <thread>

#include "tests/emulated/device/error.h"

namespace switchyard::emulated {

thread_local World::Seat* World::own_seat = nullptr;

World::World(std::uint64_t seed) : random_(seed) {
  const std::uint32_t yields[] = {2, 16, 64, 1024};
  const std::uint32_t freezes[] = {500, 4'000, 50'000};
  const std::uint32_t lengths[] = {500, 5'000, 40'000};
  const std::uint32_t slices[] = {200, 2'000, 8'000};
  const std::uint32_t stays[] = {1, 8, 64};
  chaos_ = {yields[random_.below(4)],
            freezes[random_.below(3)],
            lengths[random_.below(3)],
            slices[random_.below(3)],
            stays[random_.below(3)]};
}

World::~World() = default;

World::Seat* World::new_seat() {
  const std::uint32_t paces[] = {1, 4, 4, 16};
  seats_.push_back(std::make_unique<Seat>());
  seats_.back()->pace = paces[random_.below(4)];
  return seats_.back().get();
}

void World::leave(const Seat* seat) {
  std::erase(ready_, seat);
}

void World::hand_over() {
  std::uint32_t total = 0;
  for (const Seat* seat : ready_) {
    total += seat->pace;
  }
  std::uint32_t pick = random_.below(total);
  for (Seat* seat : ready_) {
    if (pick < seat->pace) {
      seat->turn.release();
      return;
    }
    pick -= seat->pace;
  }
}

void World::pass() {
  Seat* seat = own_seat;
  hand_over();
  seat->turn.acquire();
}

void World::tick(std::uint64_t steps) {
  steps_ += steps;
  if (steps_ > step_limit_) {
    throw EmulationError("no end after " + std::to_string(step_limit_) + " steps");
  }
}

void World::run_body(Seat* seat, const std::function<void()>& body) {
  own_seat = seat;
  seat->turn.acquire();
  try {
    if (!failed()) {
      body();
    }
  } catch (const std::exception& error) {
    if (!failed()) {
      failure_ = error.what();
    }
  }
  leave(seat);
}

void World::run_all(const std::vector<std::function<void()>>& bodies) {
  if (bodies.empty()) {
    return;
  }
  if (own_seat == nullptr || seats_.empty()) {
    own_seat = new_seat();
  }
  Seat* parent = own_seat;
  leave(parent);
  std::size_t running = bodies.size();
  std::vector<std::thread> threads;
  std::vector<Seat*> seats;
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    seats.push_back(new_seat());
    ready_.push_back(seats.back());
  }
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    threads.emplace_back([this, parent, &running, seat = seats[i], &body = bodies[i]] {
      run_body(seat, body);
      if (--running == 0) {
        ready_.push_back(parent);
      }
      hand_over();
    });
  }
  hand_over();
  parent->turn.acquire();
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const Seat* seat : seats) {
    std::erase_if(seats_, [&](const auto& each) { return each.get() == seat; });
  }
  if (failed()) {
    throw EmulationError(*failure_);
  }
}

}  // namespace switchyard::emulated
