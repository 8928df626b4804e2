// Runs the ranks of a group as real processes. The caller must have no other threads: the ranks are
// forked from it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <iosfwd>
#include <vector>

#include "switchyard/bootstrap.h"

namespace switchyard::test {

/// How one process ended.
struct ProcessExit {
  int exit_code = -1;        ///< -1 when a signal ended it
  int signal = 0;            ///< that signal
  bool was_overdue = false;  ///< it was still running at the deadline and was killed then

  bool operator==(const ProcessExit&) const = default;
};

/// How GoogleTest prints it.
void PrintTo(const ProcessExit& process_exit, std::ostream* out);

inline constexpr ProcessExit kSuccess{.exit_code = 0};

/// Exit codes of a forked process whose body did not simply return.
inline constexpr int kExpectationFailed = 1;  ///< a GoogleTest expectation failed in it
inline constexpr int kThrew = 2;              ///< an exception left the body; its text is on stderr
inline constexpr int kLeaked = 3;  ///< AddressSanitizer found memory that nobody can reach

/// Forked processes. Those that run when it is destroyed, or when the test itself dies, are killed.
class Processes {
 public:
  Processes() = default;
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;
  ~Processes();

  /// Forks a process that calls `body` and exits.
  void start(const std::function<void()>& body);

  [[nodiscard]] pid_t pid(int index) const { return pids_[static_cast<std::size_t>(index)]; }
  /// Sends a signal to one that has not been waited for.
  void signal(int index, int signal_number) const;

  /// Waits for all, killing what still runs at the deadline. Element i tells of the i-th started.
  std::vector<ProcessExit> wait(std::chrono::milliseconds limit = std::chrono::seconds(120));

 private:
  std::vector<pid_t> pids_;
};

struct RankOptions {
  std::chrono::milliseconds bootstrap_timeout{60'000};
};

/// Starts `num_ranks` processes; each joins one group over TCP on the loopback device and calls
/// `body`.
void start_ranks(Processes& processes,
                 int num_ranks,
                 const std::function<void(Bootstrap&)>& body,
                 const RankOptions& options = {});

/// The same, and waits for all. Element i tells of rank i.
std::vector<ProcessExit> run_ranks(int num_ranks,
                                   const std::function<void(Bootstrap&)>& body,
                                   const RankOptions& options = {});

}  // namespace switchyard::test
