// The one notion of "too late" in a rendezvous.
#pragma once

#include <algorithm>
#include <chrono>

namespace switchyard::bootstrap {

/// A moment after which waiting is over. Callers may ask for absurd limits (milliseconds::max()):
/// clamped to a year, which cannot overflow the clock.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  /// Ends `timeout` and then `grace` from now.
  explicit Deadline(std::chrono::milliseconds timeout, std::chrono::milliseconds grace = {})
      : end_(Clock::now() + grace + std::clamp(timeout, kShortest, kLongest)) {}

  [[nodiscard]] bool operator<(const Deadline& other) const { return end_ < other.end_; }
  [[nodiscard]] Clock::time_point end() const { return end_; }
  [[nodiscard]] bool passed() const { return Clock::now() >= end_; }

  /// Time left for poll(2): rounded up, so that waking early never turns into spinning; never
  /// negative.
  [[nodiscard]] int poll_timeout_ms() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now()).count();
    return static_cast<int>(std::clamp<decltype(left)>(left, 0, 1'000'000'000));
  }

 private:
  static constexpr std::chrono::milliseconds kShortest{0};
  static constexpr std::chrono::milliseconds kLongest{std::chrono::hours{24 * 365}};

  Clock::time_point end_;
};

}  // namespace switchyard::bootstrap
