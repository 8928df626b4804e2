// What `switchyard bench --target cuda` measures, before there is a GPU to measure on: the runner
// of its ranks over emulated devices, whose clock is that of the emulated machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "benchmarks/cli/case_plan.h"
#include "benchmarks/cli/rank_runner.h"
#include "tests/emulated/support/emulated_buffers.h"

namespace switchyard {
namespace {

using bench::BenchOptions;
using bench::CasePlan;
using bench::CaseSamples;
using bench::OpResult;
using emulated::EmulatedDevice;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr double kCopyGbps = 100;
constexpr std::uint64_t kCompanionNs = 400'000;

/// What a test does to its ranks, and what it saw of them.
struct Probe {
  bool damages_copies = false;
  bool damages_what_is_seen = false;
  int clocks_with_kernels_under_way = 0;
  std::uint64_t copied_bytes = 0;
  std::vector<std::uint64_t> kernels_beside;  ///< ended in the life of each companion
};

/// Flips a bit of the first row that is looked at.
class DamagedMemory final : public bench::TensorMemory {
 public:
  ConstTensorView seen(const ConstTensorView& view) override {
    if (view.given() && view.num_elems() != 0) {
      *static_cast<unsigned char*>(const_cast<void*>(view.data)) ^= 1U;
    }
    return view;
  }
};

/// Takes some virtual time.
class TimedCompanion final : public bench::Companion {
 public:
  TimedCompanion(EmulatedDevice& device, Probe& probe) : device_(device), probe_(probe) {}
  void start() override {
    begin_ns_ = device_.now_ns();
    kernels_ = device_.kernels_ended();
  }
  bool done() override { return device_.now_ns() >= begin_ns_ + kCompanionNs; }
  double take_us() override {
    probe_.kernels_beside.push_back(device_.kernels_ended() - kernels_);
    const std::uint64_t end_ns = begin_ns_ + kCompanionNs;
    if (!done()) {
      device_.let_pass(end_ns - device_.now_ns());
    }
    return static_cast<double>(device_.now_ns() - begin_ns_) / 1e3;
  }

 private:
  EmulatedDevice& device_;
  Probe& probe_;
  std::uint64_t begin_ns_ = 0;
  std::uint64_t kernels_ = 0;
};

class EmulatedGraph final : public bench::RecordedWork {
 public:
  EmulatedGraph(EmulatedDevice& device, EmulatedDevice::Graph graph)
      : device_(device), graph_(std::move(graph)) {}
  void run(int times) override {
    for (int i = 0; i < times; ++i) {
      device_.launch_graph(graph_);
    }
    device_.drain();
  }

 private:
  EmulatedDevice& device_;
  EmulatedDevice::Graph graph_;
};

class EmulatedMachine final : public bench::RankMachine, public bench::RankDevice {
 public:
  EmulatedMachine(std::shared_ptr<EmulatedDevice> device, Probe& probe)
      : device_(std::move(device)), probe_(probe) {}

  Buffer make_buffer(Group& group, const Config& config) override {
    return runtime::make_device_buffer(group, config, [this] { return device_; });
  }
  std::unique_ptr<bench::TensorMemory> make_memory() override {
    return probe_.damages_what_is_seen ? std::make_unique<DamagedMemory>()
                                       : std::make_unique<bench::TensorMemory>();
  }
  /// Whoever looks at the clock begins or ends an operation.
  std::int64_t now_ns() override {
    probe_.clocks_with_kernels_under_way +=
        device_->kernels_ended() == device_->kernels_launched() ? 0 : 1;
    return static_cast<std::int64_t>(device_->now_ns());
  }
  bench::RankDevice* device() override { return this; }

  [[nodiscard]] int index() const override { return 0; }
  double measure_copy_gbps() override { return kCopyGbps; }
  void copy(void* to, const void* from, std::uint64_t bytes) override {
    std::memcpy(to, from, bytes);
    probe_.copied_bytes += bytes;
    if (probe_.damages_copies) {
      static_cast<unsigned char*>(to)[bytes - 1] ^= 1U;
    }
  }
  std::unique_ptr<bench::RecordedWork> record(
      const std::function<void(void* stream)>& enqueue) override {
    device_->begin_recording();
    enqueue(device_.get());
    return std::make_unique<EmulatedGraph>(*device_, device_->end_recording());
  }
  std::unique_ptr<bench::Companion> make_companion(bench::CompanionKind, int num_sms) override {
    EXPECT_EQ(num_sms, 3) << "what the ranks of this device leave free";
    return std::make_unique<TimedCompanion>(*device_, probe_);
  }

 private:
  std::shared_ptr<EmulatedDevice> device_;
  Probe& probe_;
};

BenchOptions small_options() {
  BenchOptions options;
  options.workload.num_ranks = 3;
  options.workload.tokens = 5;
  options.workload.hidden = 64;
  options.workload.topk = 2;
  options.workload.num_experts = 6;
  options.layouts = {Layout::kRankMajor};
  options.tokens = {5};
  options.ranks_as = bench::RanksAs::kThreads;
  options.iterations = 3;
  options.warmup = 1;
  options.device.target = bench::TargetChoice::kCuda;
  options.device.num_sms = 1;
  return options;
}

/// Measures one case as `switchyard bench` does. `probes`: by rank
std::vector<OpResult> measure(const BenchOptions& options, std::vector<Probe>& probes) {
  const std::vector<CasePlan> plans = bench::plan_cases(options);
  std::vector<CaseSamples> by_rank(static_cast<std::size_t>(options.workload.num_ranks));
  probes.resize(by_rank.size());
  emulated::run_hosts(
      {.num_ranks = options.workload.num_ranks, .num_sms = options.device.num_sms},
      [&](std::unique_ptr<Bootstrap> bootstrap, const runtime::MakeDevice& make_device) {
        const auto rank = static_cast<std::size_t>(bootstrap->rank());
        Group group(std::move(bootstrap));
        EmulatedMachine machine(std::dynamic_pointer_cast<EmulatedDevice>(make_device()),
                                probes[rank]);
        const auto start_line = bench::make_bootstrap_start_line(group.bootstrap());
        bench::RankRunner runner(
            group,
            *start_line,
            options,
            machine,
            {.on_progress = [](double, const std::string&) {}, .on_trace = {}});
        by_rank[rank] = runner.run(plans).front();
      });
  return bench::results_of(plans.front(), by_rank);
}

std::vector<OpResult> measure(const BenchOptions& options) {
  std::vector<Probe> probes;
  return measure(options, probes);
}

TEST(EmulatedBenchmark, TimesWholeOperationsAndChecksThem) {
  std::vector<Probe> probes;
  const BenchOptions options = small_options();
  const std::vector<OpResult> results = measure(options, probes);
  ASSERT_THAT(results, SizeIs(2));
  for (const OpResult& result : results) {
    EXPECT_TRUE(result.verified) << result.first_mismatch;
    EXPECT_EQ(result.num_iterations, 3);
    EXPECT_GT(result.rows_checked, 0);
    EXPECT_GT(result.time_us.median, 0);
    EXPECT_EQ(result.num_sms, 1);
    EXPECT_DOUBLE_EQ(result.gbps_per_sm, result.payload_bytes / result.time_us.median / 1e3);
  }
  for (const Probe& probe : probes) {
    EXPECT_EQ(probe.clocks_with_kernels_under_way, 0);
  }
}

TEST(EmulatedBenchmark, TakesForItsRoofEveryRowReadAndWrittenOnceAtTheCopyRate) {
  const BenchOptions options = small_options();
  const CasePlan plan = bench::plan_cases(options).front();
  const std::vector<OpResult> results = measure(options);
  const std::int64_t row = 64 * 2;
  const std::int64_t tokens = std::int64_t{3} * 5;  // uniform: every token goes somewhere
  EXPECT_EQ(plan.dispatch.memory, plan.dispatch.payload + tokens * row);
  EXPECT_EQ(plan.combine.memory, plan.combine.payload + tokens * row);
  EXPECT_DOUBLE_EQ(results[0].roof_us, static_cast<double>(plan.dispatch.memory) / kCopyGbps / 1e3);
  EXPECT_DOUBLE_EQ(results[1].roof_us, static_cast<double>(plan.combine.memory) / kCopyGbps / 1e3);
  EXPECT_DOUBLE_EQ(results[0].roof_share, results[0].roof_us / results[0].time_us.median);
  EXPECT_DOUBLE_EQ(results[0].copy_gbps, kCopyGbps);
}

TEST(EmulatedBenchmark, SaysWhichByteIsWrong) {
  std::vector<Probe> probes(3);
  probes[1].damages_what_is_seen = true;
  const std::vector<OpResult> results = measure(small_options(), probes);
  EXPECT_FALSE(results[0].verified);
  EXPECT_FALSE(results[1].verified);
  EXPECT_THAT(results[1].first_mismatch, HasSubstr("rank 1"));
}

TEST(EmulatedBenchmark, JudgesTheSecondCopyOfTheStagedVariant) {
  BenchOptions options = small_options();
  options.device.staged = true;
  std::vector<Probe> probes(3);
  EXPECT_TRUE(measure(options, probes).front().verified);
  EXPECT_GT(probes[0].copied_bytes, 0U);
  probes[2].damages_copies = true;
  const std::vector<OpResult> results = measure(options, probes);
  EXPECT_THAT(results[0].first_mismatch, HasSubstr("rank 2"));
  EXPECT_TRUE(results[1].verified) << "the combine reads the rows that landed";
}

TEST(EmulatedBenchmark, LaunchesGraphsAndNotesTheTimeOfOneLaunch) {
  BenchOptions options = small_options();
  options.workload.layout = Layout::kPadded;
  options.layouts = {Layout::kPadded};
  std::vector<Probe> probes;
  const std::vector<OpResult> issued = measure(options, probes);
  options.device.graph = true;
  options.device.graph_launches = 6;
  const std::vector<OpResult> launched = measure(options, probes);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(launched[i].verified) << launched[i].first_mismatch;
    EXPECT_GT(launched[i].rows_checked, 0);
    // The same kernels: six in a row take much longer than one.
    EXPECT_LT(launched[i].time_us.median, 3 * issued[i].time_us.median);
  }
}

TEST(EmulatedBenchmark, RunsACompanionAloneAndBesideOperations) {
  BenchOptions options = small_options();
  options.device.companion = bench::CompanionKind::kCacheVictim;
  std::vector<Probe> probes;
  const std::vector<OpResult> results = measure(options, probes);
  const double alone_us = static_cast<double>(kCompanionNs) / 1e3;
  EXPECT_THAT(results[0].companion_alone_us, DoubleNear(alone_us, 10));
  EXPECT_GE(results[0].companion_beside_us, alone_us);
  const std::vector<std::uint64_t>& kernels = probes[0].kernels_beside;
  ASSERT_THAT(kernels, SizeIs(11));  // six alone, with the one that warms up
  EXPECT_THAT(std::vector<std::uint64_t>(kernels.begin(), kernels.begin() + 6), Each(0));
  EXPECT_THAT(std::vector<std::uint64_t>(kernels.begin() + 6, kernels.end()), Each(Gt(2U)));
  EXPECT_TRUE(probes[1].kernels_beside.empty());
  EXPECT_GE(results[0].num_iterations, 5);
}

}  // namespace
}  // namespace switchyard
