#include "tests/emulated/support/emulated_buffers.h"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>

#include "tests/emulated/device/error.h"

namespace switchyard {

/// In place of the library's, which would bring its own kernels along: they are called like those
/// that run here.
std::unique_ptr<targets::Device> targets::make_cuda_device(const DeviceOptions&) {
  throw emulated::EmulationError("a real device was asked for");
}

namespace emulated {
namespace {

/// All-gather among bodies of one machine, which take turns: no locks, and no wait that keeps the
/// turn.
class Gathering {
 public:
  Gathering(World& machine, int num_ranks)
      : machine_(machine), round_of_(static_cast<std::size_t>(num_ranks)) {}

  std::unique_ptr<Bootstrap> join(int rank) {
    return make_callback_bootstrap(
        rank,
        static_cast<int>(round_of_.size()),
        [this, rank](std::span<const std::byte> mine, std::span<std::byte> all) {
          gather(static_cast<std::size_t>(rank), mine, all);
        });
  }

 private:
  struct Round {
    std::vector<std::byte> bytes;
    std::size_t arrived = 0;
  };

  void gather(std::size_t rank, std::span<const std::byte> mine, std::span<std::byte> all) {
    const std::size_t number = round_of_[rank]++;
    if (number == rounds_.size()) {
      rounds_.push_back({std::vector<std::byte>(all.size()), 0});
    }
    Round& round = rounds_[number];
    std::ranges::copy(mine, round.bytes.begin() + static_cast<std::ptrdiff_t>(rank * mine.size()));
    ++round.arrived;
    while (round.arrived != round_of_.size()) {
      await_turn(machine_);
    }
    std::ranges::copy(round.bytes, all.begin());
  }

  World& machine_;
  std::vector<std::size_t> round_of_;  // by rank
  std::deque<Round> rounds_;           // references stay valid
};

/// A host that ends lets its device's queue end.
class CloseAtEnd {
 public:
  explicit CloseAtEnd(EmulatedDevice& device) : device_(device) {}
  CloseAtEnd(const CloseAtEnd&) = delete;
  CloseAtEnd& operator=(const CloseAtEnd&) = delete;
  ~CloseAtEnd() { device_.close(); }

 private:
  EmulatedDevice& device_;
};

/// Steps of lanes that no run of this tier takes; some minutes.
constexpr std::uint64_t kStepLimit = 2'000'000'000;

}  // namespace

Config emulated_config() {
  Config config = test::test_config();
  config.target = Target::kCuda;
  config.num_sms = 1;
  return config;
}

void run_hosts(const HostOptions& options, const HostBody& body) {
  World machine(options.seed);
  machine.set_step_limit(kStepLimit);
  Gathering gathering(machine, options.num_ranks);
  std::vector<std::shared_ptr<EmulatedDevice>> devices;
  std::vector<std::function<void()>> bodies;
  for (int rank = 0; rank < options.num_ranks; ++rank) {
    const KernelOptions kernels{static_cast<std::uint32_t>(options.num_sms),
                                (options.seed + static_cast<std::uint64_t>(rank)) % 2 == 0};
    devices.push_back(std::make_shared<EmulatedDevice>(
        machine, DeviceOptions{kernels, options.resident_sms, "rank " + std::to_string(rank)}));
    bodies.emplace_back([device = devices.back().get()] { device->run_queue(); });
    bodies.emplace_back([&, rank, device = devices.back()] {
      const CloseAtEnd close(*device);
      body(gathering.join(rank), [device] { return device; });
    });
  }
  machine.run_all(bodies);
}

void run_group(const bench::Workload& workload,
               const std::shared_ptr<const std::vector<bench::RankRouting>>& routing,
               const Config& config,
               std::uint64_t seed,
               const test::RankBody& body) {
  const HostOptions options{
      .num_ranks = workload.num_ranks, .num_sms = config.num_sms, .seed = seed};
  run_hosts(
      options, [&](std::unique_ptr<Bootstrap> bootstrap, const runtime::MakeDevice& make_device) {
        const int rank = bootstrap->rank();
        Group group(std::move(bootstrap));
        Buffer buffer = runtime::make_device_buffer(group, config, make_device);
        const bench::RankInputs inputs(workload, rank, (*routing)[static_cast<std::size_t>(rank)]);
        const auto reference = std::make_shared<const bench::Reference>(workload, rank, routing);
        test::TensorMemory memory;
        body({rank, group, buffer, inputs, reference, memory});
        group.bootstrap().barrier();
      });
}

}  // namespace emulated
}  // namespace switchyard
