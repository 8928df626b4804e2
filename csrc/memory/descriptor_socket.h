// Descriptors over UNIX sockets, among processes that have agreed on names and tokens elsewhere.
// The sockets have names outside every file system, so that a killed process leaves nothing behind.
#pragma once

#include <array>
#include <vector>

#include "csrc/bootstrap/unique_fd.h"

namespace switchyard::memory {

/// Where a rank listens, and what proves to it that a message comes from its group. Plain data;
/// travels over the bootstrap, whose ranks have proved that they belong to the job.
struct SocketAddress {
  std::array<unsigned char, 16> name{};   ///< random; others of this machine can see it
  std::array<unsigned char, 16> token{};  ///< random; known to the group alone
};

/// One rank's end. Never waits: the ranks go through construction, send_to and receive together.
class DescriptorSocket {
 public:
  /// Listens for the other ranks. Errors: SystemError
  explicit DescriptorSocket(int num_ranks);

  [[nodiscard]] const SocketAddress& address() const { return address_; }

  /// Sends `fd` as that of `my_rank` to the listening `rank`, after checking that the process there
  /// runs under this one's user. Errors: SystemError that names the rank
  void send_to(const SocketAddress& address, int rank, int my_rank, int fd);

  /// Puts what has come into `of_rank`. Drops what lacks the token, comes from another user's
  /// process, or names a rank out of range or a second time. Errors: SystemError
  void receive(std::vector<bootstrap::UniqueFd>& of_rank);

 private:
  SocketAddress address_;
  bootstrap::UniqueFd listener_;
  std::vector<bootstrap::UniqueFd> connections_;  // open until the others have received
};

}  // namespace switchyard::memory
