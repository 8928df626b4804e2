#include "tests/support/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <ostream>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "tests/support/loopback.h"

namespace switchyard::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kSecret = "secret of forked test ranks";

int run_body(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "[pid %d] %s\n", static_cast<int>(::getpid()), error.what());
    return kThrew;
  }
  return ::testing::Test::HasFailure() ? kExpectationFailed : 0;
}

#if defined(__SANITIZE_ADDRESS__)
/// Whether the children of this process are numbered as it is. The sanitizer looks for leaks from a
/// child, which waits for ever for a parent that has another number where it lives.
bool children_share_pids() {
  std::error_code error;
  const auto mine = std::filesystem::read_symlink("/proc/self/ns/pid", error);
  const auto theirs = std::filesystem::read_symlink("/proc/self/ns/pid_for_children", error);
  return !error && mine == theirs;
}
#endif

[[noreturn]] void run_child(pid_t parent, const std::function<void()>& body) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) {
    ::_exit(kThrew);  // the parent died before the line above
  }
  [[maybe_unused]] const uid_t started_as = ::geteuid();
  int exit_code = run_body(body);
#if defined(__SANITIZE_ADDRESS__)
  // Else nobody would look: _exit passes by the sanitizer's own look at the end of a process.
  // A process of another user, or with children in another PID namespace, cannot be looked into.
  if (exit_code == 0 && ::geteuid() == started_as && children_share_pids() &&
      __lsan_do_recoverable_leak_check() != 0) {
    exit_code = kLeaked;
  }
#endif
  std::fflush(nullptr);
  ::_exit(exit_code);  // not exit: the parent's cleanup is not ours
}

/// Waits for one process; false when it still runs at `deadline`.
bool wait_until(pid_t pid, Clock::time_point deadline, int& status) {
  for (;;) {
    const pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid) {
      return true;
    }
    if (ended < 0 && errno != EINTR) {
      throw std::runtime_error("a test process cannot be waited for");
    }
    if (Clock::now() >= deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace

void PrintTo(const ProcessExit& process_exit, std::ostream* out) {
  *out << "exit code " << process_exit.exit_code << ", signal " << process_exit.signal
       << (process_exit.was_overdue ? ", killed at the deadline" : "");
}

Processes::~Processes() {
  for (const pid_t pid : pids_) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
}

void Processes::start(const std::function<void()>& body) {
  std::fflush(nullptr);  // else the child prints again what the parent has buffered
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    throw std::runtime_error("cannot fork a test process");
  }
  if (pid == 0) {
    run_child(parent, body);
  }
  pids_.push_back(pid);
}

void Processes::signal(int index, int signal_number) const {
  ::kill(pid(index), signal_number);
}

std::vector<ProcessExit> Processes::wait(std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  std::vector<ProcessExit> exits;
  for (const pid_t pid : pids_) {
    int status = 0;
    const bool in_time = wait_until(pid, deadline, status);
    if (!in_time) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, &status, 0);
    }
    exits.push_back({.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                     .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                     .was_overdue = !in_time});
  }
  pids_.clear();
  return exits;
}

void start_ranks(Processes& processes,
                 int num_ranks,
                 const std::function<void(Bootstrap&)>& body,
                 const RankOptions& options) {
  LoopbackListener listener;
  for (int rank = 0; rank < num_ranks; ++rank) {
    processes.start([&] {
      TcpBootstrapOptions tcp;
      tcp.rank = rank;
      tcp.num_ranks = num_ranks;
      tcp.port = listener.port;
      tcp.secret = kSecret;
      tcp.timeout = options.bootstrap_timeout;
      if (rank == 0) {
        tcp.listener_fd = listener.release();
      } else {
        listener.fd.reset();  // else the port would seem open after rank 0 has died
      }
      body(*make_tcp_bootstrap(tcp));
    });
  }
}

std::vector<ProcessExit> run_ranks(int num_ranks,
                                   const std::function<void(Bootstrap&)>& body,
                                   const RankOptions& options) {
  Processes processes;
  start_ranks(processes, num_ranks, body, options);
  return processes.wait();
}

}  // namespace switchyard::test
