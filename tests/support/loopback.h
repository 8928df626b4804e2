// A free TCP port of the loopback device.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <stdexcept>

#include "csrc/bootstrap/unique_fd.h"

namespace switchyard::test {

/// Listens on 127.0.0.1 at a port that the kernel picked. Whoever connects waits until somebody
/// accepts.
struct LoopbackListener {
  bootstrap::UniqueFd fd;
  std::uint16_t port = 0;

  LoopbackListener() : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(fd.get(), generic, length) != 0 || ::listen(fd.get(), SOMAXCONN) != 0 ||
        ::getsockname(fd.get(), generic, &length) != 0) {
      throw std::runtime_error("cannot listen on the loopback device");
    }
    port = ntohs(address.sin_port);
  }

  /// Hands the socket to make_tcp_bootstrap, which closes it.
  int release() { return fd.release(); }
};

/// A connection to that port from a program that is no rank.
inline bootstrap::UniqueFd connect_to_loopback(std::uint16_t port) {
  bootstrap::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    throw std::runtime_error("cannot connect to the loopback device");
  }
  return fd;
}

}  // namespace switchyard::test
