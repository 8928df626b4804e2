#include "benchmarks/cli/versus_mpi.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "benchmarks/cli/program.h"
#include "switchyard/error.h"

namespace switchyard::bench {
namespace {

constexpr const char* kProgram = "switchyard-mpi-bench";

std::string number(std::int64_t value) {
  return std::to_string(value);
}

std::vector<std::string> rival_command(const BenchOptions& options,
                                       const Workload& workload,
                                       const MpiRival& rival,
                                       int num_iterations) {
  std::vector<std::string> command = mpirun_command(workload.num_ranks);
  command.push_back(mpi_bench_path());
  const std::vector<std::pair<const char*, std::string>> arguments{
      {"--plan", rival.plan},
      {"--ranks", number(workload.num_ranks)},
      {"--tokens", number(workload.tokens)},
      {"--hidden", number(workload.hidden)},
      {"--topk", number(workload.topk)},
      {"--experts", number(workload.num_experts)},
      {"--dtype", std::string(row_dtype_name(workload.dtype))},
      {"--scales", std::string(scales_name(workload.carried_scales))},
      {"--quantize", std::string(quantize_name(workload.quantize))},
      {"--layout", std::string(layout_name(workload.layout))},
      {"--expert-alignment", number(workload.expert_alignment)},
      {"--zero-padding", workload.zero_padding ? "true" : "false"},
      {"--max-tokens", number(workload.max_tokens)},
      {"--routing", workload.routing},
      {"--seed", std::to_string(workload.seed)},
      {"--bind", options.bind_cores ? "true" : "false"},
      {"--iterations", number(num_iterations)},
      {"--warmup", number(options.warmup)}};
  for (const auto& [name, value] : arguments) {
    command.emplace_back(name);
    command.push_back(value);
  }
  return command;
}

}  // namespace

std::string mpi_bench_path() {
  std::array<char, 4096> self{};
  const ssize_t length = ::readlink("/proc/self/exe", self.data(), self.size());
  const std::string path(self.data(), static_cast<std::size_t>(length > 0 ? length : 0));
  return path.substr(0, path.rfind('/') + 1) + kProgram;
}

// No binding by mpirun, and more ranks than cores where ours are too many as well: a rival binds
// its ranks itself, to the cores that ours had.
std::vector<std::string> mpirun_command(int num_ranks) {
  std::vector<std::string> command{
      "mpirun", "-n", number(num_ranks), "--oversubscribe", "--bind-to", "none"};
  if (::geteuid() == 0) {
    command.emplace_back("--allow-run-as-root");
  }
  return command;
}

void check_mpi() {
  const std::string program = mpi_bench_path();
  if (::access(program.c_str(), X_OK) != 0) {
    throw InvalidArgument(fmt::format(
        "versus mpi: got no program \"{}\", wanted the one that is built where MPI is found; "
        "install libopenmpi-dev and build again, or leave --versus out",
        program));
  }
  if (!run_program({"mpirun", "--version"}, "").ok()) {
    throw InvalidArgument(
        "versus mpi: got no mpirun that runs, wanted one; install it (apt install openmpi-bin) or "
        "leave --versus out");
  }
}

MpiTimes parse_mpi_output(const std::string& output) {
  const nlohmann::json document = nlohmann::json::parse(output, nullptr, false);
  if (!document.is_object() || !document.contains("dispatch_us") ||
      !document.contains("combine_us") || !document.contains("verified")) {
    throw Error(ErrorCode::kInternal,
                fmt::format("{} printed \"{}\", wanted dispatch_us, combine_us and verified",
                            kProgram,
                            last_lines(output, 3)));
  }
  if (!document.at("verified").get<bool>()) {
    throw Error(ErrorCode::kInternal,
                fmt::format("{} measured wrong data; its times mean nothing", kProgram));
  }
  return {.dispatch_us = document.at("dispatch_us").get<std::vector<double>>(),
          .combine_us = document.at("combine_us").get<std::vector<double>>()};
}

bool run_mpi(const BenchOptions& options,
             const Workload& workload,
             const MpiRival& rival,
             int num_iterations,
             MpiTimes& times) {
  const ProgramResult result =
      run_program(rival_command(options, workload, rival, num_iterations), "");
  if (result.interrupted_by != 0) {
    return false;
  }
  if (!result.ok()) {
    throw SystemError(EIO,
                      fmt::format("{} --plan {} {}: {}",
                                  kProgram,
                                  rival.plan,
                                  result.describe_end(),
                                  last_lines(result.error_output + result.output, 5)));
  }
  const MpiTimes more = parse_mpi_output(result.output);
  times.dispatch_us.insert(
      times.dispatch_us.end(), more.dispatch_us.begin(), more.dispatch_us.end());
  times.combine_us.insert(times.combine_us.end(), more.combine_us.begin(), more.combine_us.end());
  return true;
}

}  // namespace switchyard::bench
