// A program that runs beside a test, which signals it and looks at the processes it has started.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace switchyard::test {

/// Starts the program words[0] with the other words as its arguments. Its output is dropped, its
/// error output goes to the file `errors`. The caller waits for it.
inline pid_t start_program(const std::vector<std::string>& words, const std::string& errors) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
    ::dup2(::open(errors.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    std::vector<char*> argv;
    for (const std::string& word : words) {
      argv.push_back(const_cast<char*>(word.c_str()));
    }
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  return pid;
}

/// The processes that it has started, once there are `num` and have been at work for a second; none
/// when there are not within 30 seconds.
inline std::vector<pid_t> wait_for_children(pid_t pid, std::size_t num) {
  const std::string task = std::to_string(pid);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    std::ifstream text("/proc/" + task + "/task/" + task + "/children");
    std::vector<pid_t> children{std::istream_iterator<pid_t>(text), {}};
    if (children.size() == num) {
      std::this_thread::sleep_for(std::chrono::seconds(1));
      return children;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return {};
}

}  // namespace switchyard::test
