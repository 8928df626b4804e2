#include "benchmarks/cli/device_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/device_studies.h"
#include "benchmarks/common/check_range.h"
#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

/// The number at which the bars for one GPU are set.
constexpr int kVirtualRanks = 8;

TargetChoice parse_target(const std::string& name) {
  for (const TargetChoice choice :
       {TargetChoice::kAuto, TargetChoice::kHost, TargetChoice::kCuda}) {
    if (name == target_name(choice)) {
      return choice;
    }
  }
  throw InvalidArgument(fmt::format("target: got \"{}\", wanted auto, host or cuda", name));
}

std::vector<std::string> parse_studies(const std::vector<std::string>& names) {
  const std::vector<std::string> known = study_names();
  if (names == std::vector<std::string>{"all"}) {
    return known;
  }
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw InvalidArgument(fmt::format(
          "study: got \"{}\", wanted all, or some of {}", name, fmt::join(known, ", ")));
    }
  }
  return names;
}

/// What was asked of a GPU, for the refusal where there is none; empty when nothing was.
std::string wish_for_gpu(const DeviceOptions& device) {
  if (device.target == TargetChoice::kCuda) {
    return "target: got cuda";
  }
  if (!device.studies.empty()) {
    return fmt::format("study: got {}", fmt::join(device.studies, ","));
  }
  return device.num_sms != 0 ? fmt::format("sms: got {}", device.num_sms) : "";
}

void deal_ranks(BenchOptions& options, const GpuProbe& probe) {
  const bool launched = options.ranks_as == RanksAs::kLaunched;
  if (!options.ranks_given && !launched) {
    options.workload.num_ranks = probe.num_gpus > 1 ? probe.num_gpus : kVirtualRanks;
  }
  // Kernels of processes that share a GPU take turns on it, while each waits for the others.
  if (!options.ranks_as_given && !launched) {
    options.ranks_as =
        options.workload.num_ranks <= probe.num_gpus ? RanksAs::kProcesses : RanksAs::kThreads;
  }
  options.device.num_gpus = probe.num_gpus;
  for (const Layout layout : options.layouts) {
    options.workload.layout = layout;
    options.workload.validate();
  }
  options.workload.layout = options.layouts.front();
}

}  // namespace

void add_device_options(CLI::App& bench, RawDeviceOptions& raw) {
  bench
      .add_option("--target",
                  raw.target,
                  "What executes the protocol: host, cuda, or auto (cuda where there is a GPU).")
      ->type_name("NAME")
      ->group("Ranks");
  bench.add_option("--sms", raw.num_sms, "Target cuda: SMs of each rank, 1 to 256 (8).")
      ->type_name("N")
      ->group("Ranks");
  bench
      .add_flag("--no-cache-hints",
                raw.no_cache_hints,
                "Target cuda: the same transfers without cache hints, for comparison.")
      ->group("Ranks");
  bench
      .add_option("--study",
                  raw.studies,
                  "Target cuda, in place of one measurement: all, or some by commas of\n" +
                      fmt::format("{}.", fmt::join(study_names(), ", ")))
      ->delimiter(',')
      ->option_text("NAME,...")
      ->group("Measuring");
  bench
      .add_option("--results",
                  raw.results_folder,
                  "Where studies write a JSON file each (benchmarks/results).")
      ->type_name("FOLDER")
      ->group("Output");
}

DeviceOptions check_device_options(const RawDeviceOptions& raw) {
  DeviceOptions options;
  options.target = parse_target(raw.target);
  if (raw.num_sms) {
    check_range("sms", *raw.num_sms, 1, 256);
    options.num_sms = *raw.num_sms;
  }
  options.cache_hints = !raw.no_cache_hints;
  options.studies = parse_studies(raw.studies);
  options.results_folder = raw.results_folder;
  return options;
}

const char* target_name(TargetChoice target) {
  switch (target) {
    case TargetChoice::kHost:
      return "host";
    case TargetChoice::kCuda:
      return "cuda";
    default:
      return "auto";
  }
}

BenchOptions settle_target(BenchOptions options, const GpuProbe& probe) {
  DeviceOptions& device = options.device;
  if (device.target == TargetChoice::kHost || probe.num_gpus == 0) {
    const std::string wish = wish_for_gpu(device);
    if (wish.empty()) {
      device.target = TargetChoice::kHost;
      return options;
    }
    if (device.target == TargetChoice::kHost) {
      throw InvalidArgument(fmt::format("{} with target host, wanted target cuda", wish));
    }
    throw InvalidArgument(
        fmt::format("{}, wanted a GPU to measure on, or --target host: {}", wish, probe.why_not));
  }
  if (options.versus_mpi || options.trace_events > 0) {
    if (device.target == TargetChoice::kCuda) {
      throw InvalidArgument(
          fmt::format("{}: got one with target cuda, wanted target host, which has it",
                      options.versus_mpi ? "versus mpi" : "trace"));
    }
    device.target = TargetChoice::kHost;
    return options;
  }
  device.target = TargetChoice::kCuda;
  deal_ranks(options, probe);
  return options;
}

}  // namespace switchyard::bench
