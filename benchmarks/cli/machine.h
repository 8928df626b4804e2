// What this machine is and how much memory is in use, as the reports state it. Read from the
// system, no state.
#pragma once

#include <cstdint>
#include <string>

namespace switchyard::bench {

struct Machine {
  std::string cpu{};
  int cores = 1;  ///< that this process may run on
  std::uint64_t memory_bytes = 0;
  std::string simd{};  ///< instruction set in use for rows
  std::string gpu{};   ///< that is measured; empty on the host
  int gpus = 0;
};

Machine describe_machine();

/// Cores that this process may run on.
int allowed_cores();

/// "AMD EPYC, 2 cores, 23.4 GiB memory, AVX-512"
std::string to_string(const Machine& machine);

/// Memory that can be had without swapping, now; the smaller of the machine's and what a container
/// may still take.
std::uint64_t available_memory_bytes();

/// Anonymous memory of this process that is resident now: not the shared heap, not files.
std::uint64_t private_bytes();

}  // namespace switchyard::bench
