// The options of `switchyard bench` that only an accelerator has: which target, how many SMs, what
// is studied on it. And what becomes of them when it is known which GPUs there are.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "benchmarks/common/rank_machine.h"
#include "benchmarks/cuda/cuda_machine.h"

namespace switchyard::bench {

enum class TargetChoice : std::uint8_t {
  kAuto,  ///< cuda where there is a GPU to use, else host
  kHost,
  kCuda,
};

struct DeviceOptions {
  TargetChoice target = TargetChoice::kAuto;
  int num_sms = 0;  ///< of each rank; 0: Config's
  bool cache_hints = true;
  int num_gpus = 1;  ///< ranks are dealt to them in turn
  /// A second copy of what landed is part of the dispatch, as of those that receive into windows.
  bool staged = false;
  /// Operations are captured into a CUDA graph, which is launched again for each iteration.
  bool graph = false;
  /// Of a graph, behind each other, to a sample: what the CPU takes to launch the first and to see
  /// the end of the last is shared by all.
  int graph_launches = 20;
  CompanionKind companion = CompanionKind::kNone;
  std::vector<std::string> studies{};  ///< names of device_studies.h; empty: one measurement
  std::string results_folder = "benchmarks/results";

  [[nodiscard]] bool on_device() const { return target == TargetChoice::kCuda; }
};

/// As typed.
struct RawDeviceOptions {
  std::string target = "auto";
  std::optional<int> num_sms;
  bool no_cache_hints = false;
  std::vector<std::string> studies;
  std::string results_folder = DeviceOptions{}.results_folder;
};

void add_device_options(CLI::App& bench, RawDeviceOptions& raw);

/// Errors: InvalidArgument naming the option, got and wanted
DeviceOptions check_device_options(const RawDeviceOptions& raw);

/// "host" or "cuda", or "auto" while nobody has looked for GPUs.
const char* target_name(TargetChoice target);

struct BenchOptions;

/// Settles what depends on the GPUs that there are: the target, and for cuda the number of ranks
/// and what they run as, where nobody chose: 8 threads that share one GPU, or a process for each of
/// several.
/// Errors: InvalidArgument with what is missing and what to do, where cuda was asked for and there
///         is no GPU, or where a device's options were given and the target is the host
BenchOptions settle_target(BenchOptions options, const GpuProbe& probe);

}  // namespace switchyard::bench
