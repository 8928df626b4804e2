// What a process holds that must not grow from one use of the library to the next.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>

namespace switchyard::test {

struct Footprint {
  std::ptrdiff_t descriptors = 0;
  std::ptrdiff_t mappings = 0;
  std::ptrdiff_t heap_mappings = 0;  ///< of files of /dev/shm
  std::ptrdiff_t allocated = 0;      ///< bytes that malloc gave and did not get back

  static Footprint now() {
    Footprint footprint;
    const std::filesystem::directory_iterator open_files("/proc/self/fd");
    footprint.descriptors = std::distance(begin(open_files), end(open_files));
    std::ifstream maps("/proc/self/maps");
    std::string line;
    while (std::getline(maps, line)) {
      ++footprint.mappings;
      footprint.heap_mappings += line.find("/dev/shm/") != std::string::npos ? 1 : 0;
    }
    const struct mallinfo2 memory = ::mallinfo2();
    footprint.allocated = static_cast<std::ptrdiff_t>(memory.uordblks + memory.hblkhd);
    return footprint;
  }
};

/// Files of this library in /dev/shm, of whichever process.
inline std::ptrdiff_t entries_in_shared_memory() {
  const std::filesystem::directory_iterator folder("/dev/shm");
  return std::count_if(begin(folder), end(folder), [](const auto& entry) {
    return entry.path().filename().string().starts_with("switchyard");
  });
}

}  // namespace switchyard::test
