// In place of ptx/special_registers.h: time is virtual, so that deadlines pass in a replayable way.
#pragma once

#include <cstdint>

#include "tests/emulated/device/lane.h"

namespace switchyard::ptx {

inline std::uint64_t read_globaltimer() {
  return emulated::virtual_time_ns();
}
inline std::uint64_t read_clock64() {
  return emulated::virtual_time_ns();
}
inline std::uint32_t read_laneid() {
  return emulated::lane_of_warp();
}
inline void sleep_ns(std::uint32_t) {
  emulated::maybe_yield();
}

}  // namespace switchyard::ptx
