// The file behind one rank's shared heap: how its owner makes it and how a peer gets at it. Files
// have no name unless peers cannot reach the owner's descriptors, so a killed process leaves
// nothing behind.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/bootstrap/unique_fd.h"

namespace switchyard::memory {

enum class Backing : std::uint8_t {
  kReservedHugePages,  ///< a memfd in the kernel's pool of huge pages; has no place for a name
  kDevShm,             ///< a file in /dev/shm
};

/// What an owner tells its peers of its file. Plain data without padding.
struct SharedFileId {
  std::int64_t fd = -1;  ///< in the owner
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::uint64_t uid = 0;
};

/// A name in /dev/shm that cannot be guessed: 128 random bits. Plain data, NUL-terminated.
struct SharedFileName {
  std::array<char, 48> text{};
};

SharedFileName random_file_name();

/// Path of the file, after checking that `name`, which came from a peer, has the form that
/// random_file_name gives.
/// Errors: Error{kInternal} if it has not
std::string path_of(const SharedFileName& name);

/// Makes a file of `bytes` zeros with mode 0600 and reserves all its memory, so that no later store
/// can fail. Where the file system knows no nameless files it gets `name`, which the caller
/// unlinks.
/// Errors: SystemError with bytes wanted and free, and how to get more; `num_ranks` is for its text
bootstrap::UniqueFd make_shared_file(Backing backing,
                                     std::uint64_t bytes,
                                     int num_ranks,
                                     const SharedFileName& name);

SharedFileId identify(const bootstrap::UniqueFd& file);

/// Gives a nameless file of /dev/shm its name; does nothing when it has it. Errors: SystemError
void link_shared_file(const bootstrap::UniqueFd& file, const SharedFileName& name);

/// Opens the file that process `pid` of this PID namespace holds, after checking that it is the one
/// announced.
/// Errors: SystemError
bootstrap::UniqueFd open_by_descriptor(std::int64_t pid, const SharedFileId& announced);

/// The same by its name in /dev/shm. Errors: SystemError
bootstrap::UniqueFd open_by_name(const SharedFileName& name, const SharedFileId& announced);

/// Removes the names of all ranks from /dev/shm at the end of the set-up, however it ends. Every
/// rank removes every name, because the owner may be killed between giving its file the name and
/// here.
class NameSweeper {
 public:
  explicit NameSweeper(const std::vector<SharedFileName>& names);
  NameSweeper(const NameSweeper&) = delete;
  NameSweeper& operator=(const NameSweeper&) = delete;
  ~NameSweeper();

 private:
  std::vector<std::string> paths_;
};

}  // namespace switchyard::memory
