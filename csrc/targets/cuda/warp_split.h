// How the warps of one rank are divided between the tasks of one call: by the rows that each task
// has to move this time. Pure functions for host and device.
#pragma once

#include <cstdint>

#include "csrc/protocol/host_device.h"

namespace switchyard::cuda {

/// Warps [0, senders) send, warps [senders, num_warps) receive; with shared true, every warp sends
/// first and then receives.
struct WarpSplit {
  std::int32_t senders = 0;
  std::int32_t receivers = 0;
  bool shared = false;
};

/// Divides `num_warps` warps in proportion to the rows of each task, at least one for each. A task
/// without rows has only words to look at: then all warps take the other one first. So they do when
/// a fault came before the counts, which are anything then.
SY_HOST_DEVICE constexpr WarpSplit split_warps(std::int32_t num_warps,
                                               std::int64_t send_rows,
                                               std::int64_t receive_rows) {
  if (num_warps < 2 || send_rows <= 0 || receive_rows <= 0) {
    return {num_warps, num_warps, true};
  }
  const std::int64_t rows = send_rows + receive_rows;
  auto senders = static_cast<std::int32_t>((num_warps * send_rows + rows / 2) / rows);
  senders = senders < 1 ? 1 : senders;
  senders = senders > num_warps - 1 ? num_warps - 1 : senders;
  return {senders, num_warps - senders, false};
}

static_assert(split_warps(8, 100, 0).shared);
static_assert(split_warps(8, 100, -100).shared);
static_assert(split_warps(8, 100, 100).senders == 4);
static_assert(split_warps(8, 1, 1000).senders == 1);
static_assert(split_warps(8, 1000, 1).receivers == 1);

}  // namespace switchyard::cuda
