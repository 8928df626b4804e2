#include "benchmarks/cli/device_studies.h"

#include <gmock/gmock.h>

#include <set>
#include <string>
#include <vector>

#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

GpuProbe one_gpu() {
  return {.num_gpus = 1, .num_sms = 132, .memory_bytes = std::uint64_t{80} << 30U, .name = "H100"};
}

BenchOptions base() {
  BenchOptions options;
  options.workload = find_preset("deepseek-v3-train");
  options.layouts = {Layout::kRankMajor};
  options.tokens = {options.workload.tokens};
  return options;
}

std::string refusal(const BenchOptions& options, const GpuProbe& probe) {
  try {
    (void)settle_target(options, probe);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "none";
}

TEST(DeviceOptions, TakeTheGpuWhereThereIsOneAndTheHostElsewhere) {
  EXPECT_EQ(settle_target(base(), {}).device.target, TargetChoice::kHost);
  const BenchOptions settled = settle_target(base(), one_gpu());
  EXPECT_EQ(settled.device.target, TargetChoice::kCuda);
  EXPECT_EQ(settled.workload.num_ranks, 8);
  EXPECT_EQ(settled.ranks_as, RanksAs::kThreads);
}

TEST(DeviceOptions, GiveEachOfSeveralGpusAProcess) {
  GpuProbe four = one_gpu();
  four.num_gpus = 4;
  const BenchOptions settled = settle_target(base(), four);
  EXPECT_EQ(settled.workload.num_ranks, 4);
  EXPECT_EQ(settled.ranks_as, RanksAs::kProcesses);
  BenchOptions chosen = base();
  chosen.ranks_given = true;
  chosen.workload.num_ranks = 16;
  EXPECT_EQ(settle_target(chosen, four).workload.num_ranks, 16);
  EXPECT_EQ(settle_target(chosen, four).ranks_as, RanksAs::kThreads);
}

TEST(DeviceOptions, AreRefusedWithWhatIsMissingWhereThereIsNoGpu) {
  BenchOptions options = base();
  options.device.target = TargetChoice::kCuda;
  EXPECT_THAT(refusal(options, {.why_not = "the driver is not there"}),
              AllOf(HasSubstr("target: got cuda, wanted a GPU"),
                    HasSubstr("--target host"),
                    HasSubstr("the driver is not there")));
  options = base();
  options.device.studies = {"floor"};
  EXPECT_THAT(refusal(options, {}), HasSubstr("study: got floor, wanted a GPU"));
  options.device.target = TargetChoice::kHost;
  EXPECT_THAT(refusal(options, one_gpu()), HasSubstr("with target host, wanted target cuda"));
}

TEST(DeviceOptions, LeaveTracesAndMpiToTheHost) {
  BenchOptions options = base();
  options.versus_mpi = true;
  EXPECT_EQ(settle_target(options, one_gpu()).device.target, TargetChoice::kHost);
  options.device.target = TargetChoice::kCuda;
  EXPECT_THAT(refusal(options, one_gpu()), HasSubstr("versus mpi"));
}

TEST(DeviceStudies, SweepSmsUpToWhatTheGpuHas) {
  std::set<std::pair<int, int>> seen;
  for (const StudyCase& each : study_cases("sweep-sms", base(), one_gpu())) {
    EXPECT_EQ(each.labels.at("ranks"), each.options.workload.num_ranks);
    EXPECT_EQ(each.options.workload.tokens, 4096);
    seen.emplace(each.options.workload.num_ranks, each.options.device.num_sms);
  }
  EXPECT_THAT(seen, SizeIs(24));
  EXPECT_TRUE(seen.contains({8, 2}) && seen.contains({8, 16}) && seen.contains({2, 1}));
  GpuProbe small = one_gpu();
  small.num_sms = 32;
  for (const StudyCase& each : study_cases("sweep-sms", base(), small)) {
    EXPECT_LE(each.options.workload.num_ranks * each.options.device.num_sms, 32);
  }
}

TEST(DeviceStudies, CompareHintsBesideTheSameCompanion) {
  std::vector<bool> hints;
  for (const StudyCase& each : study_cases("interference", base(), one_gpu())) {
    EXPECT_EQ(each.options.device.companion, CompanionKind::kCacheVictim);
    EXPECT_EQ(each.labels.at("cache_hints"), each.options.device.cache_hints);
    hints.push_back(each.options.device.cache_hints);
  }
  EXPECT_THAT(hints, ElementsAre(true, false));
}

TEST(DeviceStudies, KeepWhatEveryCaseGaveAndWhyOneFailed) {
  const std::vector<StudyCase> cases = study_cases("passes", base(), one_gpu());
  ASSERT_THAT(cases, SizeIs(4));
  int calls = 0;
  const ordered_json document = run_study("passes", cases, [&](const BenchOptions& options) {
    ++calls;
    if (options.device.num_sms == 16 && options.device.staged) {
      return StudyOutcome{.problem = "no room"};
    }
    return StudyOutcome{.results = {{.op = "dispatch", .num_sms = 2, .verified = true}}};
  });
  EXPECT_EQ(calls, 4);
  ASSERT_THAT(document.at("results"), SizeIs(4));
  EXPECT_EQ(document.at("results")[0].at("variant"), "direct");
  EXPECT_EQ(document.at("results")[0].at("sms"), 2);
  EXPECT_EQ(document.at("results")[3].at("problem"), "no room");
  EXPECT_FALSE(study_passed(document));
}

TEST(DeviceStudies, FailWithAWrongByte) {
  const std::vector<StudyCase> cases = study_cases("overlap", base(), one_gpu());
  const auto measure_with = [&](bool verified) {
    return run_study("overlap", cases, [verified](const BenchOptions&) {
      return StudyOutcome{.results = {{.op = "combine", .verified = verified}}};
    });
  };
  EXPECT_TRUE(study_passed(measure_with(true)));
  EXPECT_FALSE(study_passed(measure_with(false)));
}

TEST(DeviceStudies, HaveCasesUnderEveryName) {
  for (const std::string& name : study_names()) {
    EXPECT_FALSE(study_cases(name, base(), one_gpu()).empty()) << name;
  }
  EXPECT_THAT(study_cases("none", base(), one_gpu()), IsEmpty());
  EXPECT_EQ(study_file("2026-11-24", "NVIDIA H200", "floor"), "2026-11-24_nvidia-h200_floor.json");
}

}  // namespace
}  // namespace switchyard::bench
