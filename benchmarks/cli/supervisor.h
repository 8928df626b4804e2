// Runs functions or programs as child processes and never loses one: their output is read line by
// line, the first failure or a signal from the user ends them all, and all have ended when run()
// returns.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace switchyard::bench {

/// How one child ended.
struct ChildEnd {
  int child_idx = 0;
  int exit_code = 0;  ///< 0 when a signal ended it
  int signal = 0;     ///< signal that ended it, 0 for none
  bool ended_by_us =
      false;  ///< the supervisor killed it, after another's failure or a signal from the user

  [[nodiscard]] bool ok() const { return exit_code == 0 && signal == 0; }
};

struct SupervisedRun {
  std::vector<ChildEnd> ends{};  ///< in the order in which the children ended
  int interrupted_by = 0;        ///< SIGINT, SIGTERM or SIGHUP that ended the run; 0 for none
  [[nodiscard]] bool ok() const;
};

class Supervisor {
 public:
  /// Runs in the child, which dies with this process whatever happens to it; the result is the
  /// child's exit code. What is written to `output_fd` arrives at on_line.
  using ChildMain = std::function<int(int output_fd)>;
  using OnLine = std::function<void(int child_idx, const std::string& line)>;

  /// Children are told to stop with `stop_signal` and killed after `grace`.
  struct StopPolicy {
    int stop_signal = 9;
    std::chrono::milliseconds grace{0};
    /// After the first failure the others may end by themselves for so long: their messages often
    /// tell more.
    std::chrono::milliseconds settle{1500};
    /// Each child leads a process group, which is signalled as a whole (mpirun and what it starts).
    bool own_process_group = false;
  };

  explicit Supervisor(const StopPolicy& policy) : policy_(policy) {}

  void add(ChildMain child_main) { mains_.push_back(std::move(child_main)); }

  /// Forks all children, and waits for all of them.
  /// Called by: the process's only thread (it forks)
  /// Errors:    SystemError when the system refuses a process, with none left running
  SupervisedRun run(const OnLine& on_line);

 private:
  StopPolicy policy_;
  std::vector<ChildMain> mains_;
};

}  // namespace switchyard::bench
