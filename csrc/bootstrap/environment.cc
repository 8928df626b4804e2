#include "csrc/bootstrap/environment.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "csrc/bootstrap/launched_rank.h"
#include "switchyard/bootstrap.h"
#include "switchyard/error.h"

namespace switchyard {
namespace {

constexpr std::int64_t kMaxPort = 65'535;

template <class T>
T require(std::optional<T> value, const char* name, const char* what_to_do) {
  if (!value) {
    throw InvalidArgument(fmt::format("{}: not set; {}", name, what_to_do));
  }
  return *std::move(value);
}

/// SWITCHYARD_PORT, or the port after torchrun's, which torchrun itself holds.
std::uint16_t port_from_env() {
  if (const auto port = bootstrap::read_integer_variable("SWITCHYARD_PORT", 1, kMaxPort)) {
    return static_cast<std::uint16_t>(*port);
  }
  const auto master_port =
      require(bootstrap::read_integer_variable("MASTER_PORT", 1, kMaxPort - 1),
              "MASTER_PORT",
              "set SWITCHYARD_PORT to a free port of rank 0's machine, the same for all ranks; "
              "torchrun sets MASTER_PORT by itself");
  return static_cast<std::uint16_t>(master_port + 1);
}

/// Where rank 0 is.
std::string host_from_env(const bootstrap::LaunchedRank& launched) {
  if (auto host = bootstrap::read_variable("MASTER_ADDR")) {
    return *std::move(host);
  }
  if (launched.one_machine) {
    return TcpBootstrapOptions{}.host;
  }
  throw InvalidArgument(fmt::format(
      "MASTER_ADDR: not set, and {} does not say that all ranks are on one machine; set "
      "it to the address of rank 0's machine, the same for all ranks",
      launched.launcher));
}

}  // namespace

namespace bootstrap {

std::optional<std::string> read_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') {
    return std::nullopt;
  }
  return value;
}

std::optional<std::int64_t> read_integer_variable(const char* name,
                                                  std::int64_t min,
                                                  std::int64_t max) {
  const auto text = read_variable(name);
  if (!text) {
    return std::nullopt;
  }
  std::int64_t value = 0;
  const char* end = text->data() + text->size();
  const auto [parsed_to, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc{} || parsed_to != end || value < min || value > max) {
    throw InvalidArgument(
        fmt::format("{}: got \"{}\", wanted a whole number from {} to {}", name, *text, min, max));
  }
  return value;
}

}  // namespace bootstrap

TcpBootstrapOptions tcp_options_from_env() {
  const bootstrap::LaunchedRank launched =
      require(bootstrap::read_launched_rank(),
              "RANK or WORLD_SIZE",
              "start the ranks with torchrun, mpirun, mpiexec or srun, or set both for each rank");
  TcpBootstrapOptions options;
  options.rank = launched.rank;
  options.num_ranks = launched.num_ranks;
  options.host = host_from_env(launched);
  options.port = port_from_env();
  options.secret = require(
      bootstrap::read_variable("SWITCHYARD_SECRET"),
      "SWITCHYARD_SECRET",
      "give all ranks the same value that nobody else can guess, for example of `openssl rand -hex "
      "32`");
  return options;
}

}  // namespace switchyard
