// Sockets as the TCP bootstrap needs them: never blocking, closed on exec, no SIGPIPE. Nothing here
// knows what travels.
#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "csrc/bootstrap/deadline.h"
#include "csrc/bootstrap/unique_fd.h"

namespace switchyard::bootstrap {

enum class IoStatus : std::uint8_t {
  kBlocked,  ///< the kernel takes or has no more now: poll
  kDone,     ///< nothing is left to transfer
  kClosed,   ///< the other side is gone
};

/// Sends from the front of `rest` without waiting, and cuts off what was sent.
IoStatus send_some(int fd, std::span<const std::byte>& rest);

/// Receives into the front of `rest` without waiting, and cuts off what was filled.
IoStatus receive_some(int fd, std::span<std::byte>& rest);

/// Waits until one of `fds` is ready; false when `deadline` passed first. Errors: SystemError
bool wait_ready(std::vector<pollfd>& fds, const Deadline& deadline);

/// Listens on `port` for peers that reach this machine as `host`: on the loopback device alone when
/// that is what `host` names, else on all addresses, because a machine's own name often resolves to
/// something that only it can reach.
/// Errors: BootstrapError, with what to do when the port is in use
UniqueFd listen_on(const std::string& host, std::uint16_t port);

/// Takes over a listening socket. Errors: InvalidArgument when it is none
UniqueFd adopt_listener(int fd);

/// The next connection, or none when nobody is waiting.
/// Errors: SystemError when descriptors have run out
UniqueFd accept_one(const UniqueFd& listener);

/// One attempt to connect, on each address of `host` in turn. On failure the result is not valid
/// and `problem` tells.
UniqueFd try_connect(const std::string& host,
                     std::uint16_t port,
                     const Deadline& deadline,
                     std::string& problem);

}  // namespace switchyard::bootstrap
