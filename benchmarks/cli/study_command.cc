#include "benchmarks/cli/study_command.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "benchmarks/cli/build_info.h"
#include "benchmarks/cli/case_plan.h"
#include "benchmarks/cli/device_studies.h"
#include "benchmarks/cli/launcher.h"
#include "benchmarks/cli/machine.h"
#include "benchmarks/cli/progress.h"
#include "benchmarks/cli/report.h"
#include "switchyard/error.h"
#include "switchyard/version.h"

namespace switchyard::bench {
namespace {

StudyOutcome measure_case(const BenchOptions& options) {
  try {
    ProgressBar progress;
    const std::vector<CasePlan> plans = plan_cases(options);
    const LaunchResult launched =
        launch(options, plans, [&](double fraction, const std::string& doing) {
          progress.show(fraction, doing);
        });
    progress.clear();
    if (launched.exit_code != kExitOk) {
      return {.problem = launched.failure};
    }
    return {.results = results_of(plans.front(), launched.samples.front())};
  } catch (const Error& error) {
    return {.problem = error.what()};
  }
}

void print_entry(const nlohmann::ordered_json& entry) {
  std::string labels;
  for (const char* key : {"ranks", "cache_hints", "graph", "quantize", "variant", "companion"}) {
    if (entry.contains(key)) {
      labels += fmt::format("{} {}, ", key, entry.at(key).dump());
    }
  }
  if (entry.contains("problem")) {
    fmt::print("  {}{}\n", labels, entry.at("problem").get<std::string>());
    return;
  }
  fmt::print(
      "  {:<9} {:<12} {}{} tokens, {} SMs: {:.1f} us, {:.1f} GB/s per SM, {:.2f} of the "
      "roof{}{}\n",
      entry.at("op").get<std::string>(),
      entry.at("layout").get<std::string>(),
      labels,
      entry.at("tokens").get<int>(),
      entry.value("sms", 0),
      entry.at("median_us").get<double>(),
      entry.value("gbps_per_sm", 0.0),
      entry.at("roof_share").get<double>(),
      entry.contains("companion_slowdown")
          ? fmt::format(", companion {:+.1f} %", 100 * entry.at("companion_slowdown").get<double>())
          : "",
      entry.at("verified").get<bool>() ? "" : "  WRONG DATA");
}

nlohmann::ordered_json heading(const std::string& command, const GpuProbe& probe) {
  const Machine machine = describe_machine();
  return {{"commit", commit()},
          {"version", version()},
          {"hardware",
           {{"gpu", probe.name},
            {"gpus", probe.num_gpus},
            {"sms", probe.num_sms},
            {"gpu_memory_bytes", probe.memory_bytes},
            {"cpu", machine.cpu},
            {"cores", machine.cores}}},
          {"command", command}};
}

}  // namespace

int run_studies(const BenchOptions& options, const std::string& command, const GpuProbe& probe) {
  const auto today = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const std::string date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(today));
  int exit_code = kExitOk;
  for (const std::string& name : options.device.studies) {
    fmt::print("{}\n", name);
    nlohmann::ordered_json document = heading(command, probe);
    document.update(run_study(name, study_cases(name, options, probe), measure_case));
    for (const nlohmann::ordered_json& entry : document.at("results")) {
      print_entry(entry);
    }
    const std::string path =
        options.device.results_folder + "/" + study_file(date, probe.name, name);
    write_file(path, document.dump(2) + "\n");
    fmt::print("  written to {}\n", path);
    exit_code = study_passed(document) ? exit_code : kExitFailed;
  }
  std::fflush(stdout);
  return exit_code;
}

}  // namespace switchyard::bench
