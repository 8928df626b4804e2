#include "csrc/memory/process_identity.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace switchyard::memory {
namespace {

/// The first half of the random UUID that the kernel draws at each boot; 0 when it does not say.
std::uint64_t read_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string digits;
  file >> digits;
  std::erase(digits, '-');
  std::uint64_t id = 0;
  std::from_chars(digits.data(), digits.data() + std::min<std::size_t>(digits.size(), 16), id, 16);
  return id;
}

}  // namespace

std::optional<std::uint64_t> process_start_time(std::int64_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  const std::string line{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  // The second field is the program's name in parentheses and may itself hold spaces and
  // parentheses.
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) {
    return std::nullopt;
  }
  std::istringstream fields(line.substr(name_end + 1));
  constexpr int kFieldsBetween =
      19;  // state (field 3) up to itrealvalue (21); starttime is field 22
  std::string skipped;
  for (int i = 0; i < kFieldsBetween; ++i) {
    fields >> skipped;
  }
  std::uint64_t start_time = 0;
  if (!(fields >> start_time)) {
    return std::nullopt;
  }
  return start_time;
}

int open_process(const ProcessIdentity& process) {
  const long pidfd = ::syscall(SYS_pidfd_open, static_cast<pid_t>(process.pid), 0U);
  if (pidfd < 0) {
    return -errno;
  }
  // The PID may have passed to another process before the descriptor was opened. After it, it
  // cannot.
  if (process.start_time != 0 && process_start_time(process.pid) != process.start_time) {
    ::close(static_cast<int>(pidfd));
    return -ESRCH;
  }
  return static_cast<int>(pidfd);
}

ProcessIdentity this_process() {
  ProcessIdentity identity;
  identity.pid = ::getpid();
  identity.start_time = process_start_time(identity.pid).value_or(0);
  struct stat name_space {};
  if (::stat("/proc/self/ns/pid", &name_space) == 0) {
    identity.pid_namespace_ino = name_space.st_ino;
  }
  identity.boot_id = read_boot_id();
  return identity;
}

}  // namespace switchyard::memory
