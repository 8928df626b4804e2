// What this machine's kernel says about its memory: page sizes and free amounts, for decisions and
// for error texts.
#pragma once

#include <cstdint>
#include <string>

namespace switchyard::memory {

struct SystemMemory {
  std::uint64_t page_bytes = 4096;
  std::uint64_t available_bytes = 0;  ///< without swapping; 0 when the kernel does not say
  std::uint64_t free_swap_bytes = 0;
  std::uint64_t huge_page_bytes = 0;      ///< default reserved huge page; 0 when there is none
  std::uint64_t num_free_huge_pages = 0;  ///< free and not promised to anybody
};

/// Reads /proc/meminfo; what it lacks stays zero.
SystemMemory read_system_memory();

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// "1.5 GiB": for messages.
std::string format_bytes(std::uint64_t bytes);

}  // namespace switchyard::memory
