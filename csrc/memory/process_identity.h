// Names a process so that another can tell whether both live on one machine, in one PID namespace,
// or are the same one, and whether a PID still means the process it meant.
#pragma once

#include <cstdint>
#include <optional>

namespace switchyard::memory {

/// Plain data that ranks exchange; 0 in a field means that the system did not say.
struct ProcessIdentity {
  std::int64_t pid = 0;
  std::uint64_t start_time = 0;  ///< clock ticks since boot; differs when a PID was used again
  std::uint64_t pid_namespace_ino = 0;  ///< PIDs are comparable only within one namespace
  std::uint64_t boot_id = 0;            ///< differs between machines and between boots

  bool operator==(const ProcessIdentity&) const = default;

  /// Whether the PID of `other` means to us what it means to `other`.
  [[nodiscard]] bool shares_pids_with(const ProcessIdentity& other) const {
    return pid_namespace_ino != 0 && pid_namespace_ino == other.pid_namespace_ino &&
           boot_id == other.boot_id;
  }
};

ProcessIdentity this_process();

/// A descriptor (pidfd) of `process`, which shares PIDs with this one, or -errno: -ESRCH when it
/// has ended, even if its PID was used again. The caller closes it.
int open_process(const ProcessIdentity& process);

/// Start time of the process that `pid` means now; nothing when there is no such process.
std::optional<std::uint64_t> process_start_time(std::int64_t pid);

}  // namespace switchyard::memory
