#include "benchmarks/cli/machine.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <string_view>

#include "csrc/targets/host/row_ops.h"

namespace switchyard::bench {
namespace {

// Value of the first "key : value" line, without surrounding blanks; empty when there is none.
std::string value_of(const char* path, std::string_view key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || line.compare(0, key.size(), key) != 0 ||
        line.find_first_not_of(" \t", key.size()) != colon) {
      continue;
    }
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? std::string() : line.substr(begin);
  }
  return {};
}

// "123 kB" as bytes.
std::uint64_t kilobytes_of(const char* path, std::string_view key) {
  const std::string value = value_of(path, key);
  return value.empty() ? 0 : std::strtoull(value.c_str(), nullptr, 10) * 1024;
}

std::optional<std::uint64_t> number_in(const char* path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  if (file >> number) {
    return number;
  }
  return std::nullopt;  // no such file, or "max"
}

std::string cpu_name() {
  for (const char* key : {"model name", "Model", "cpu model"}) {
    if (const std::string name = value_of("/proc/cpuinfo", key); !name.empty()) {
      return name;
    }
  }
  return "unknown CPU";
}

// The SIMD library's names, as people know them.
std::string people_name(const std::string& isa) {
  static const std::map<std::string, std::string> kNames{{"AVX3", "AVX-512"},
                                                         {"AVX3_DL", "AVX-512"},
                                                         {"AVX3_ZEN4", "AVX-512"},
                                                         {"AVX3_SPR", "AVX-512"}};
  const auto found = kNames.find(isa);
  return found == kNames.end() ? isa : found->second;
}

}  // namespace

int allowed_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
    return 1;
  }
  return std::max(CPU_COUNT(&allowed), 1);
}

Machine describe_machine() {
  return {.cpu = cpu_name(),
          .cores = allowed_cores(),
          .memory_bytes = kilobytes_of("/proc/meminfo", "MemTotal"),
          .simd = people_name(host::row_ops_isa())};
}

std::string to_string(const Machine& machine) {
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  const std::string gpu =
      machine.gpu.empty() ? "" : fmt::format("{} x {}, ", machine.gpus, machine.gpu);
  return fmt::format("{}{}, {} {}, {:.1f} GiB memory, {}",
                     gpu,
                     machine.cpu,
                     machine.cores,
                     machine.cores == 1 ? "core" : "cores",
                     static_cast<double>(machine.memory_bytes) / kGiB,
                     machine.simd);
}

std::uint64_t available_memory_bytes() {
  std::uint64_t available = kilobytes_of("/proc/meminfo", "MemAvailable");
  if (available == 0) {
    available =
        std::numeric_limits<std::uint64_t>::max();  // not told: let the allocation itself fail
  }
  const auto limit = number_in("/sys/fs/cgroup/memory.max");
  const auto used = number_in("/sys/fs/cgroup/memory.current");
  if (limit && used) {
    available = std::min(available, *limit > *used ? *limit - *used : 0);
  }
  return available;
}

std::uint64_t private_bytes() {
  return kilobytes_of("/proc/self/status", "RssAnon");
}

}  // namespace switchyard::bench
