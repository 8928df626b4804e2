#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "benchmarks/cli/bench_command.h"
#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/surroundings.h"

namespace bench = switchyard::bench;

namespace {

int run(const std::vector<std::string>& args) {
  const bench::ParsedCommandLine parsed =
      bench::parse_command_line(args, bench::read_surroundings());
  if (parsed.sim) {
    return bench::run_sim(*parsed.sim);
  }
  if (!parsed.options) {
    std::FILE* to = parsed.exit_code == bench::kExitOk ? stdout : stderr;
    fmt::print(to, "{}", parsed.message);
    return std::fflush(to) == 0 ? parsed.exit_code : bench::kExitFailed;
  }
  std::string command = "switchyard";
  for (const std::string& arg : args) {
    command += " " + arg;
  }
  return bench::run_bench(*parsed.options, command);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "switchyard: {}\n", error.what());
    return bench::kExitBadArguments;
  }
}
