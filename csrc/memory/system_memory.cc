#include "csrc/memory/system_memory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>

namespace switchyard::memory {

SystemMemory read_system_memory() {
  SystemMemory memory;
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  if (page_bytes > 0) {
    memory.page_bytes = static_cast<std::uint64_t>(page_bytes);
  }
  std::uint64_t num_free = 0;
  std::uint64_t num_promised = 0;
  std::ifstream file("/proc/meminfo");
  std::string name;
  std::uint64_t value = 0;
  while (file >> name >> value) {
    if (name == "MemAvailable:") {
      memory.available_bytes = value * 1024;
    } else if (name == "SwapFree:") {
      memory.free_swap_bytes = value * 1024;
    } else if (name == "HugePages_Free:") {
      num_free = value;
    } else if (name == "HugePages_Rsvd:") {
      num_promised = value;
    } else if (name == "Hugepagesize:") {
      memory.huge_page_bytes = value * 1024;
    }
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  memory.num_free_huge_pages = num_free - std::min(num_free, num_promised);
  return memory;
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) {
    return fmt::format("{} bytes", bytes);
  }
  auto scaled = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (scaled >= 1024.0 && unit + 1 < std::size(kUnits)) {
    scaled /= 1024.0;
    ++unit;
  }
  return fmt::format("{:.4g} {}", scaled, kUnits[unit]);
}

}  // namespace switchyard::memory
