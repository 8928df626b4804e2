#include "benchmarks/cli/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>

#include "benchmarks/cli/system_error.h"

namespace switchyard::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kAdvice = "check the limits of this user (ulimit -a)";

// While it lives, the signals that end a run wait in a descriptor instead of killing this process.
class SignalQueue {
 public:
  SignalQueue() {
    sigset_t watched;
    sigemptyset(&watched);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) {
      sigaddset(&watched, signal);
    }
    (void)::sigprocmask(SIG_BLOCK, &watched, &before_);
    fd_ = ::signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd_ < 0) {
      const int error = errno;
      (void)::sigprocmask(SIG_SETMASK, &before_, nullptr);
      errno = error;
      throw_system_error("watch for signals", kAdvice);
    }
  }
  SignalQueue(const SignalQueue&) = delete;
  SignalQueue& operator=(const SignalQueue&) = delete;
  ~SignalQueue() {
    ::close(fd_);
    (void)::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] const sigset_t& mask_before() const { return before_; }

  /// The first signal that asks for an end, 0 for none; SIGCHLD only wakes the caller.
  [[nodiscard]] int take() const {
    int asked = 0;
    signalfd_siginfo info{};
    while (::read(fd_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
      const int signal = static_cast<int>(info.ssi_signo);
      if (signal != SIGCHLD && asked == 0) {
        asked = signal;
      }
    }
    return asked;
  }

 private:
  sigset_t before_{};
  int fd_ = -1;
};

struct Child {
  pid_t pid = -1;
  int output_fd = -1;
  std::string partial_line{};
  bool ended = false;
  bool stopped_by_us = false;
};

[[noreturn]] void run_child(const Supervisor::ChildMain& child_main,
                            int output_fd,
                            pid_t parent,
                            const sigset_t& mask) {
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) {
    ::_exit(1);  // the parent died before the line above could take effect
  }
  (void)::sigprocmask(SIG_SETMASK, &mask, nullptr);
  const int code = child_main(output_fd);
  std::fflush(nullptr);
  ::_exit(code);
}

class Run {
 public:
  Run(const Supervisor::StopPolicy& policy, const Supervisor::OnLine& on_line)
      : policy_(policy), on_line_(on_line) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  ~Run() {
    signal_all(SIGKILL);
    for (Child& child : children_) {
      if (!child.ended) {
        (void)::waitpid(child.pid, nullptr, 0);
      }
      close_output(child);
    }
  }

  void start(const Supervisor::ChildMain& child_main) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
      throw_system_error("make a pipe for a child process", kAdvice);
    }
    std::fflush(nullptr);  // else the child would print this process's buffered text again
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) {
      const int error = errno;
      ::close(ends[0]);
      ::close(ends[1]);
      errno = error;
      throw_system_error("start a child process", kAdvice);
    }
    if (pid == 0) {
      if (policy_.own_process_group) {
        (void)::setpgid(0, 0);
      }
      ::close(ends[0]);
      run_child(child_main, ends[1], parent, signals_.mask_before());
    }
    ::close(ends[1]);
    if (policy_.own_process_group) {
      (void)::setpgid(pid, pid);  // here too: whichever of the two processes comes first
    }
    (void)::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    children_.push_back({.pid = pid, .output_fd = ends[0]});
  }

  SupervisedRun finish() {
    while (result_.ends.size() < children_.size()) {
      wait_for_news();
      if (const int asked = signals_.take(); asked != 0 && result_.interrupted_by == 0) {
        result_.interrupted_by = asked;
        stop_at_ = Clock::now();
      }
      for (Child& child : children_) {
        read_output(child);
      }
      reap();
      stop_when_due();
    }
    return std::move(result_);
  }

 private:
  void wait_for_news() {
    std::vector<pollfd> watched{{signals_.fd(), POLLIN, 0}};
    for (const Child& child : children_) {
      if (child.output_fd >= 0) {
        watched.push_back({child.output_fd, POLLIN, 0});
      }
    }
    // A stop may be due, and a child may end between reap() and here; neither must wait for long.
    constexpr int kPollMs = 50;
    (void)::poll(watched.data(), watched.size(), kPollMs);
  }

  void read_output(Child& child) {
    std::array<char, 4096> text{};
    while (child.output_fd >= 0) {
      const ssize_t count = ::read(child.output_fd, text.data(), text.size());
      if (count > 0) {
        child.partial_line.append(text.data(), static_cast<std::size_t>(count));
      } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_output(child);
      } else if (errno == EAGAIN) {
        break;
      }
    }
    deliver_lines(child);
  }

  void deliver_lines(Child& child) {
    const int child_idx = static_cast<int>(&child - children_.data());
    std::size_t end = 0;
    while ((end = child.partial_line.find('\n')) != std::string::npos) {
      const std::string line = child.partial_line.substr(0, end);
      child.partial_line.erase(0, end + 1);
      on_line_(child_idx, line);
    }
    if (child.output_fd < 0 && !child.partial_line.empty()) {
      const std::string line = std::move(child.partial_line);
      child.partial_line.clear();
      on_line_(child_idx, line);
    }
  }

  void reap() {
    for (Child& child : children_) {
      int status = 0;
      if (child.ended || ::waitpid(child.pid, &status, WNOHANG) != child.pid) {
        continue;
      }
      child.ended = true;
      read_output(child);  // what it wrote after the last look
      close_output(child);
      deliver_lines(child);
      result_.ends.push_back({.child_idx = static_cast<int>(&child - children_.data()),
                              .exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
                              .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                              .ended_by_us = child.stopped_by_us});
      if (!result_.ends.back().ok() && !stop_at_) {
        stop_at_ = Clock::now() + policy_.settle;
      }
    }
  }

  void stop_when_due() {
    if (!stop_at_ || Clock::now() < *stop_at_) {
      return;
    }
    signal_all(stops_sent_ == 0 ? policy_.stop_signal : SIGKILL);
    ++stops_sent_;
    stop_at_ = Clock::now() + std::max(policy_.grace, std::chrono::milliseconds{100});
  }

  void signal_all(int signal) {
    for (Child& child : children_) {
      if (!child.ended) {
        child.stopped_by_us = true;
        (void)::kill(policy_.own_process_group ? -child.pid : child.pid, signal);
      }
    }
  }

  static void close_output(Child& child) {
    if (child.output_fd >= 0) {
      ::close(child.output_fd);
      child.output_fd = -1;
    }
  }

  const Supervisor::StopPolicy& policy_;
  const Supervisor::OnLine& on_line_;
  SignalQueue signals_;
  std::vector<Child> children_;
  SupervisedRun result_;
  std::optional<Clock::time_point> stop_at_;
  int stops_sent_ = 0;
};

}  // namespace

bool SupervisedRun::ok() const {
  return interrupted_by == 0 &&
         std::all_of(ends.begin(), ends.end(), [](const ChildEnd& end) { return end.ok(); });
}

SupervisedRun Supervisor::run(const OnLine& on_line) {
  Run run(policy_, on_line);
  for (const ChildMain& child_main : mains_) {
    run.start(child_main);
  }
  return run.finish();
}

}  // namespace switchyard::bench
