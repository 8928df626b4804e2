// Values of the variables of launchers and of ours, one a line; "-": not set.
#include <array>
#include <cstdlib>
#include <string>

#include "benchmarks/cli/bench_options.h"
#include "benchmarks/cli/surroundings.h"
#include "csrc/bootstrap/environment.h"
#include "switchyard/bootstrap.h"
#include "switchyard/error.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using switchyard::fuzz::expect;

constexpr std::array<const char*, 11> kNames = {"RANK",
                                                "WORLD_SIZE",
                                                "MASTER_ADDR",
                                                "MASTER_PORT",
                                                "SWITCHYARD_PORT",
                                                "SWITCHYARD_SECRET",
                                                "OMPI_COMM_WORLD_RANK",
                                                "OMPI_COMM_WORLD_SIZE",
                                                "OMPI_COMM_WORLD_LOCAL_SIZE",
                                                "SLURM_PROCID",
                                                "SLURM_STEP_NUM_TASKS"};

void set_variables(const std::string& text) {
  // putenv on memory of our own: setenv never frees what it once held.
  static std::array<std::string, kNames.size()> held;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    ::unsetenv(kNames[i]);
    const std::size_t end = text.find('\n', begin);
    const std::string value = begin == std::string::npos ? "-" : text.substr(begin, end - begin);
    begin = end == std::string::npos ? end : end + 1;
    if (value.find('\0') == std::string::npos && value != "-") {
      held[i] = std::string(kNames[i]) + "=" + value;
      ::putenv(held[i].data());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  switchyard::fuzz::FuzzInput input(data, size);
  set_variables(input.text(4096));
  try {
    const switchyard::TcpBootstrapOptions options = switchyard::tcp_options_from_env();
    expect(options.num_ranks >= 1, "no rank");
    expect(options.rank >= 0 && options.rank < options.num_ranks, "a rank out of range");
    expect(options.port != 0, "no port");
    expect(!options.secret.empty() && !options.host.empty(), "no secret or no host");
  } catch (const switchyard::InvalidArgument&) {
  }
  try {
    const auto surroundings = switchyard::bench::read_surroundings();
    expect(!surroundings.launched || surroundings.launched->num_ranks >= 1, "no ranks");
  } catch (const switchyard::InvalidArgument&) {
  }
  return 0;
}
