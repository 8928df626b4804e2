#include "benchmarks/cli/program.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "benchmarks/cli/supervisor.h"
#include "benchmarks/cli/system_error.h"

namespace switchyard::bench {
namespace {

// mpirun needs a moment to end what it started on its own.
constexpr std::chrono::milliseconds kStopGrace{5000};

// A file without a name: as large as the text, gone with its descriptor.
class MemoryFile {
 public:
  explicit MemoryFile(const char* what) : fd_(::memfd_create(what, MFD_CLOEXEC)) {
    if (fd_ < 0) {
      throw_system_error(fmt::format("make a memory file for {}", what),
                         "close some files or free memory");
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(fd_); }

  void write_all(const std::string& text) {
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t count = ::write(fd_, text.data() + done, text.size() - done);
      if (count < 0 && errno != EINTR) {
        throw_system_error(fmt::format("write {} bytes of input for a program", text.size()),
                           "free some memory");
      }
      done += static_cast<std::size_t>(count > 0 ? count : 0);
    }
    (void)::lseek(fd_, 0, SEEK_SET);
  }

  [[nodiscard]] std::string read_all() const {
    std::string text;
    std::array<char, 4096> part{};
    ssize_t count = 0;
    while ((count = ::pread(fd_, part.data(), part.size(), static_cast<off_t>(text.size()))) > 0) {
      text.append(part.data(), static_cast<std::size_t>(count));
    }
    return text;
  }

  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

int become(const std::vector<std::string>& argv, int input_fd, int output_fd, int error_fd) {
  (void)::dup2(input_fd, STDIN_FILENO);
  (void)::dup2(output_fd, STDOUT_FILENO);
  (void)::dup2(error_fd, STDERR_FILENO);
  std::vector<char*> pointers;
  for (const std::string& arg : argv) {
    pointers.push_back(const_cast<char*>(arg.c_str()));  // execvp's signature predates const
  }
  pointers.push_back(nullptr);
  ::execvp(pointers.front(), pointers.data());
  return ProgramResult::kMissing;
}

}  // namespace

std::string ProgramResult::describe_end() const {
  return signal != 0 ? fmt::format("was killed by signal {} ({})", signal, ::strsignal(signal))
                     : fmt::format("ended with exit code {}", exit_code);
}

ProgramResult run_program(const std::vector<std::string>& argv, const std::string& input) {
  MemoryFile input_file("input");
  MemoryFile error_file("error output");
  input_file.write_all(input);

  Supervisor supervisor({.stop_signal = SIGTERM, .grace = kStopGrace, .own_process_group = true});
  supervisor.add(
      [&](int output_fd) { return become(argv, input_file.fd(), output_fd, error_file.fd()); });
  ProgramResult result;
  const SupervisedRun run =
      supervisor.run([&](int, const std::string& line) { result.output += line + "\n"; });
  result.exit_code = run.ends.front().exit_code;
  result.signal = run.ends.front().signal;
  result.interrupted_by = run.interrupted_by;
  result.error_output = error_file.read_all();
  return result;
}

std::string last_lines(const std::string& text, int max_lines) {
  std::size_t begin = text.find_last_not_of('\n') + 1;
  const std::size_t end = begin;
  for (int line = 0; line < max_lines && begin != 0; ++line) {
    const std::size_t newline = text.rfind('\n', begin - 1);
    if (newline == std::string::npos) {
      return text.substr(0, end);
    }
    begin = newline;
  }
  return text.substr(begin == end ? end : begin + 1, end - (begin == end ? end : begin + 1));
}

}  // namespace switchyard::bench
