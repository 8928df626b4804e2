// In place of ptx/elect.h: the seed elects one lane of each warp, for good.
#pragma once

#include <cstdint>

#include "ptx/target.h"
#include "tests/emulated/device/lane.h"

namespace switchyard::ptx {

template <Target kTarget = kThisTarget>
bool warp_elect(std::uint32_t lanes = 0xFFFFFFFFU,
                emulated::Place where = emulated::Place::here()) {
  static_assert(kTarget.has(90), "warp_elect needs sm_90");
  return emulated::is_elected(lanes, where);
}

}  // namespace switchyard::ptx
