// A whole group whose Buffers run on emulated devices: tests/support/moe_group.h on one emulated
// machine, where hosts and kernels take turns as a seed draws them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "csrc/runtime/device_buffer.h"
#include "tests/emulated/support/emulated_device.h"
#include "tests/support/moe_group.h"

namespace switchyard::emulated {

struct HostOptions {
  int num_ranks = 1;
  int num_sms = 1;  ///< of each rank; as its Config says
  int resident_sms = 132;
  std::uint64_t seed = 1;
};
using HostBody = std::function<void(std::unique_ptr<Bootstrap>, const runtime::MakeDevice&)>;

/// What test_config() is for such a group.
Config emulated_config();

/// Calls `body` as the host of every rank. Errors: EmulationError with what went wrong first
void run_hosts(const HostOptions& options, const HostBody& body);

/// As test::run_group, replayable by the seed. Errors: the same
void run_group(const bench::Workload& workload,
               const std::shared_ptr<const std::vector<bench::RankRouting>>& routing,
               const Config& config,
               std::uint64_t seed,
               const test::RankBody& body);

}  // namespace switchyard::emulated
