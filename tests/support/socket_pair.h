// Two connected sockets inside this process, for protocol tests without a network.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <vector>

#include "csrc/bootstrap/unique_fd.h"

namespace switchyard::test {

struct SocketPair {
  bootstrap::UniqueFd a;
  bootstrap::UniqueFd b;

  SocketPair() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
      throw std::runtime_error("cannot make a pair of sockets");
    }
    a = bootstrap::UniqueFd(fds[0]);
    b = bootstrap::UniqueFd(fds[1]);
  }
};

/// Sends all of `bytes`, waiting as long as it takes.
inline void send_bytes(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      throw std::runtime_error("the other end does not take the bytes");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

/// Receives `num_bytes`, or fewer when the other end closes first.
inline std::vector<std::byte> receive_bytes(int fd, std::size_t num_bytes) {
  std::vector<std::byte> bytes(num_bytes);
  std::size_t num_received = 0;
  while (num_received < num_bytes) {
    const ssize_t received = ::recv(fd, bytes.data() + num_received, num_bytes - num_received, 0);
    if (received <= 0) {
      break;
    }
    num_received += static_cast<std::size_t>(received);
  }
  bytes.resize(num_received);
  return bytes;
}

}  // namespace switchyard::test
