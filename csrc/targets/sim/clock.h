// Virtual time: it passes when the scheduler says so, never by itself.
#pragma once

#include <cstdint>

namespace switchyard::sim {

class Clock {
 public:
  [[nodiscard]] std::uint64_t now_ns() const { return now_ns_; }
  void advance(std::uint64_t ns) { now_ns_ += ns; }

 private:
  std::uint64_t now_ns_ = 0;
};

}  // namespace switchyard::sim
