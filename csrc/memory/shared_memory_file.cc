#include "csrc/memory/shared_memory_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "csrc/memory/system_memory.h"
#include "csrc/protocol/check.h"
#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

using bootstrap::UniqueFd;

constexpr const char* kDirectory = "/dev/shm";
constexpr std::string_view kNamePrefix = "switchyard-";
constexpr std::size_t kNumRandomBytes = 16;

/// Memory is reserved in pieces: a signal makes fallocate give up the whole call, so one that
/// covered gigabytes would never end under a profiler's timer.
constexpr std::uint64_t kReservePieceBytes = 64ULL << 20;

[[noreturn]] void throw_system_error(int error, const std::string& what) {
  throw SystemError(error, fmt::format("{}: {}", what, std::strerror(error)));
}

UniqueFd create_in_dev_shm(const SharedFileName& name) {
  UniqueFd file(::open(kDirectory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file.valid() && errno != EMFILE && errno != ENFILE && errno != EACCES) {
    // A file system without nameless files says EOPNOTSUPP, an old kernel EISDIR, others invent
    // their own.
    file = UniqueFd(
        ::open(path_of(name).c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0600));
  }
  if (!file.valid()) {
    throw_system_error(errno,
                       fmt::format("cannot create a file in {}; mount a tmpfs there that this user "
                                   "may write to",
                                   kDirectory));
  }
  return file;
}

UniqueFd create_file(Backing backing, const SharedFileName& name) {
  if (backing == Backing::kDevShm) {
    return create_in_dev_shm(name);
  }
  UniqueFd file(::memfd_create("switchyard", MFD_CLOEXEC | MFD_HUGETLB));
  if (!file.valid()) {
    throw_system_error(errno, "cannot create a file of huge pages");
  }
  return file;
}

[[noreturn]] void throw_reserve_error(int error, std::uint64_t bytes, int num_ranks, int fd) {
  struct statvfs space {};
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
  if (::fstatvfs(fd, &space) == 0) {
    free_bytes = static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
    total_bytes = static_cast<std::uint64_t>(space.f_blocks) * space.f_frsize;
  }
  const std::uint64_t needed = bytes * static_cast<std::uint64_t>(num_ranks);
  throw SystemError(
      error,
      fmt::format(
          "cannot reserve a heap of {} in {}: {}; {} ranks need {} together, {} of {} are "
          "free now: lower the heap size, or enlarge it (mount -o remount,size={}M {}; in a "
          "container --shm-size={}m)",
          format_bytes(bytes),
          kDirectory,
          std::strerror(error),
          num_ranks,
          format_bytes(needed),
          format_bytes(free_bytes),
          format_bytes(total_bytes),
          round_up(needed, 1 << 20) >> 20,
          kDirectory,
          round_up(needed, 1 << 20) >> 20));
}

void reserve(const UniqueFd& file, std::uint64_t bytes, int num_ranks) {
  for (std::uint64_t begin = 0; begin < bytes;) {
    const std::uint64_t piece = std::min(bytes - begin, kReservePieceBytes);
    const int error =
        ::posix_fallocate(file.get(), static_cast<off_t>(begin), static_cast<off_t>(piece));
    if (error == 0) {
      begin += piece;
    } else if (error != EINTR) {
      throw_reserve_error(error, bytes, num_ranks, file.get());
    }
  }
}

UniqueFd verified(UniqueFd file, const SharedFileId& announced, const std::string& where) {
  if (!file.valid()) {
    throw_system_error(errno, fmt::format("cannot open the heap of a peer, {}", where));
  }
  struct stat seen {};
  if (::fstat(file.get(), &seen) != 0) {
    throw_system_error(errno, fmt::format("cannot examine the heap of a peer, {}", where));
  }
  const bool same = S_ISREG(seen.st_mode) && (seen.st_mode & 07777) == 0600 &&
                    seen.st_dev == announced.device && seen.st_ino == announced.inode &&
                    static_cast<std::uint64_t>(seen.st_size) == announced.bytes &&
                    seen.st_uid == announced.uid;
  if (!same) {
    throw SystemError(
        ESTALE,
        fmt::format("{} is not the heap that the peer announced: got inode {} of {} "
                    "bytes, wanted inode {} of {} bytes; is {} the same for all ranks?",
                    where,
                    seen.st_ino,
                    seen.st_size,
                    announced.inode,
                    announced.bytes,
                    kDirectory));
  }
  return file;
}

}  // namespace

SharedFileName random_file_name() {
  SY_CHECK(::sodium_init() >= 0, "libsodium can be initialised");
  std::array<unsigned char, kNumRandomBytes> random{};
  ::randombytes_buf(random.data(), random.size());
  std::array<char, 2 * kNumRandomBytes + 1> hex{};
  ::sodium_bin2hex(hex.data(), hex.size(), random.data(), random.size());
  SharedFileName name;
  static_assert(kNamePrefix.size() + 2 * kNumRandomBytes < sizeof(name.text), "NUL included");
  const auto rest = std::copy(kNamePrefix.begin(), kNamePrefix.end(), name.text.begin());
  std::copy_n(hex.begin(), 2 * kNumRandomBytes, rest);
  return name;
}

std::string path_of(const SharedFileName& name) {
  const std::string text(name.text.begin(), std::find(name.text.begin(), name.text.end(), '\0'));
  const bool well_formed =
      text.size() == kNamePrefix.size() + 2 * kNumRandomBytes && text.starts_with(kNamePrefix) &&
      text.find_first_not_of("0123456789abcdef", kNamePrefix.size()) == std::string::npos;
  SY_CHECK(well_formed, "a peer names its heap switchyard- and 32 hexadecimal digits");
  return fmt::format("{}/{}", kDirectory, text);
}

UniqueFd make_shared_file(Backing backing,
                          std::uint64_t bytes,
                          int num_ranks,
                          const SharedFileName& name) {
  UniqueFd file = create_file(backing, name);
  if (::fchmod(file.get(), 0600) !=
      0) {  // a memfd starts with 0777, and the umask may have taken bits
    throw_system_error(errno, "cannot set the mode of a heap's file to 0600");
  }
  reserve(file, bytes, num_ranks);
  return file;
}

SharedFileId identify(const UniqueFd& file) {
  struct stat seen {};
  if (::fstat(file.get(), &seen) != 0) {
    throw_system_error(errno, "cannot examine this rank's heap");
  }
  return {.fd = file.get(),
          .device = seen.st_dev,
          .inode = seen.st_ino,
          .bytes = static_cast<std::uint64_t>(seen.st_size),
          .uid = seen.st_uid};
}

void link_shared_file(const UniqueFd& file, const SharedFileName& name) {
  struct stat seen {};
  if (::fstat(file.get(), &seen) == 0 && seen.st_nlink > 0) {
    return;
  }
  const std::string descriptor = fmt::format("/proc/self/fd/{}", file.get());
  if (::linkat(AT_FDCWD, descriptor.c_str(), AT_FDCWD, path_of(name).c_str(), AT_SYMLINK_FOLLOW) !=
      0) {
    throw_system_error(errno, fmt::format("cannot name this rank's heap in {}", kDirectory));
  }
}

UniqueFd open_by_descriptor(std::int64_t pid, const SharedFileId& announced) {
  const std::string path = fmt::format("/proc/{}/fd/{}", pid, announced.fd);
  // O_NONBLOCK and O_NOCTTY: the path may lead to a pipe or a terminal if the peer is gone and its
  // PID used again.
  return verified(
      UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)), announced, path);
}

UniqueFd open_by_name(const SharedFileName& name, const SharedFileId& announced) {
  const std::string path = path_of(name);
  return verified(UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW)), announced, path);
}

NameSweeper::NameSweeper(const std::vector<SharedFileName>& names) {
  paths_.reserve(names.size());
  for (const SharedFileName& name : names) {
    paths_.push_back(path_of(name));
  }
}

NameSweeper::~NameSweeper() {
  for (const std::string& path : paths_) {
    (void)::unlink(path.c_str());  // mostly there is none: names are the exception
  }
}

}  // namespace switchyard::memory
