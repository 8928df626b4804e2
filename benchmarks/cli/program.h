// Runs another program to its end: no shell, no signal lost, its two outputs apart.
#pragma once

#include <string>
#include <vector>

namespace switchyard::bench {

struct ProgramResult {
  int exit_code = 0;       ///< 127: there is no such program
  int signal = 0;          ///< that ended the program, 0 for none
  int interrupted_by = 0;  ///< signal from the user that ended it, 0 for none
  std::string output{};
  std::string error_output{};

  [[nodiscard]] bool ok() const { return exit_code == 0 && signal == 0 && interrupted_by == 0; }
  [[nodiscard]] bool missing() const { return exit_code == kMissing; }

  /// "was killed by signal 9 (Killed)" or "ended with exit code 3".
  [[nodiscard]] std::string describe_end() const;

  static constexpr int kMissing = 127;
};

/// Runs `argv` (found through PATH unless it has a slash) with `input` as its standard input.
/// Called by: the process's only thread (it forks)
/// Errors:    SystemError when the system refuses a process or memory for the outputs
ProgramResult run_program(const std::vector<std::string>& argv, const std::string& input);

/// Last `max_lines` lines of a text, for quoting in a message.
std::string last_lines(const std::string& text, int max_lines);

}  // namespace switchyard::bench
