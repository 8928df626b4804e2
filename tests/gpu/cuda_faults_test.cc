// Ranks as real processes on GPUs, and what the others see when one is killed, or stops: the cases
// of tests/process/faults_test.cc on the CUDA target.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>

#include "benchmarks/cuda/cuda_machine.h"
#include "benchmarks/cuda/gpu_memory.h"
#include "switchyard/error.h"
#include "tests/gpu/gpu_ranks.h"
#include "tests/support/operation_cases.h"
#include "tests/support/process.h"
#include "tests/support/shared_value.h"

namespace switchyard {
namespace {

using bench::Workload;
using test::kSuccess;
using test::ProcessExit;
using ::testing::HasSubstr;

constexpr int kNumRanks = 2;
constexpr int kVictim = 1;
constexpr ProcessExit kKilled{.exit_code = -1, .signal = SIGKILL};

struct Progress {
  std::atomic<int> rounds;  ///< of the victim
  std::atomic<bool> noticed;
};

Workload pair() {
  Workload workload = test::float_workload(Layout::kRankMajor);
  workload.num_ranks = kNumRanks;
  return workload;
}

/// One rank on a GPU, which it may share with the other: their kernels take turns then.
class Rank {
 public:
  Rank(Bootstrap& bootstrap, std::chrono::milliseconds timeout)
      : machine_(bench::make_cuda_machine(bootstrap.rank() % std::max(test::num_gpus(), 1))),
        group_(make_callback_bootstrap(
            bootstrap.rank(),
            bootstrap.num_ranks(),
            [&bootstrap](auto mine, auto all) { bootstrap.all_gather(mine, all); })),
        routing_(test::route_all(pair())),
        inputs_(pair(), bootstrap.rank(), (*routing_)[static_cast<std::size_t>(bootstrap.rank())]),
        reference_(std::make_shared<const bench::Reference>(pair(), bootstrap.rank(), routing_)),
        buffer_(machine_->make_buffer(group_, config_of(timeout))) {}

  void exchange() {
    test::exchange_once({group_.rank(), group_, buffer_, inputs_, reference_, memory_});
  }
  void expect_gpu_goes_on() {
    const float value = 1.0F;
    const TensorView copy = memory_.given({&value, DType::kFp32, {1}});
    EXPECT_EQ(*static_cast<const float*>(memory_.seen(copy).data), value);
  }

 private:
  static Config config_of(std::chrono::milliseconds timeout) {
    Config config = test::test_config();
    config.target = Target::kCuda;
    config.num_sms = 2;
    config.timeout = timeout;
    return config;
  }

  std::unique_ptr<bench::RankMachine> machine_;
  Group group_;
  std::shared_ptr<const std::vector<bench::RankRouting>> routing_;
  bench::RankInputs inputs_;
  std::shared_ptr<const bench::Reference> reference_;
  bench::GpuMemory memory_;
  Buffer buffer_;
};

/// Exchanges until something is thrown, which must name the victim.
void survive(Rank& rank, ErrorCode wanted, Progress& progress) {
  try {
    for (;;) {
      rank.exchange();
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), wanted) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("rank 1"));
    EXPECT_THAT(error.what(), HasSubstr("waited for"));
  }
  EXPECT_THROW(rank.exchange(), Error);
  rank.expect_gpu_goes_on();
  progress.noticed.store(true);
}

void run_until_signal(int signal_number, ErrorCode wanted, const ProcessExit& end_of_victim) {
  test::SharedValue<Progress> progress;
  test::Processes processes;
  test::start_ranks(processes, kNumRanks, [&](Bootstrap& bootstrap) {
    const bool victim = bootstrap.rank() == kVictim;
    Rank rank(bootstrap, victim ? std::chrono::seconds(60) : std::chrono::seconds(2));
    if (!victim) {
      survive(rank, wanted, *progress);
      return;
    }
    for (;;) {
      rank.exchange();
      progress->rounds.fetch_add(1);
    }
  });
  const auto wait_until = [](const auto& reached) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!reached() && std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  wait_until([&] { return progress->rounds.load() >= 2; });
  processes.signal(kVictim, signal_number);
  if (signal_number == SIGSTOP) {
    wait_until([&] { return progress->noticed.load(); });
    processes.signal(kVictim, SIGKILL);
  }
  const auto exits = processes.wait(std::chrono::seconds(90));
  EXPECT_EQ(exits[0], kSuccess);
  EXPECT_EQ(exits[kVictim], end_of_victim);
}

class CudaFaults : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = test::why_no_gpu(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
};

TEST_F(CudaFaults, AKilledRankIsNamedAndTheGpuGoesOn) {
  run_until_signal(SIGKILL, ErrorCode::kPeerLost, kKilled);
}

TEST_F(CudaFaults, AStoppedRankIsATimeoutThatNamesIt) {
  run_until_signal(SIGSTOP, ErrorCode::kTimeout, kKilled);
}

TEST_F(CudaFaults, ARankThatLeavesBetweenOperationsIsNamedByAllOthers) {
  test::run_gpu_threads(3, [](Bootstrap& bootstrap) {
    const auto machine = bench::make_cuda_machine(0);
    Group group(make_callback_bootstrap(
        bootstrap.rank(), bootstrap.num_ranks(), [&bootstrap](auto mine, auto all) {
          bootstrap.all_gather(mine, all);
        }));
    Workload workload = pair();
    workload.num_ranks = 3;
    workload.num_experts = 6;
    Config config = test::test_config();
    config.target = Target::kCuda;
    config.num_sms = 2;
    config.timeout = std::chrono::milliseconds(500);
    Buffer buffer = machine->make_buffer(group, config);
    const auto routing = test::route_all(workload);
    const bench::RankInputs inputs(
        workload, group.rank(), (*routing)[static_cast<std::size_t>(group.rank())]);
    const auto reference =
        std::make_shared<const bench::Reference>(workload, group.rank(), routing);
    bench::GpuMemory memory;
    const test::RankContext context{group.rank(), group, buffer, inputs, reference, memory};
    test::exchange_once(context);
    if (group.rank() != 2) {
      EXPECT_THROW((void)buffer.dispatch(context.request()), Timeout);
      EXPECT_THAT(buffer.lost_ranks(), ::testing::ElementsAre(2));
    }
    group.bootstrap().barrier();
  });
}

}  // namespace
}  // namespace switchyard
