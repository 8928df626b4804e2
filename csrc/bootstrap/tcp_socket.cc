#include "csrc/bootstrap/tcp_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "switchyard/error.h"

namespace switchyard::bootstrap {
namespace {

/// Longest wait for one address of a host: an address that swallows packets must not use up the
/// time of the others.
constexpr std::chrono::milliseconds kConnectLimit{3000};

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

/// Addresses of `host`, null with the reason in `problem`. Numbers need no name server.
AddressList resolve(const std::string& host, std::uint16_t port, std::string& problem) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int result = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (result != 0) {
    problem = fmt::format("cannot resolve {}: {}", host, ::gai_strerror(result));
    found = nullptr;
  }
  return {found, &::freeaddrinfo};
}

bool is_loopback(const addrinfo& address) {
  if (address.ai_family == AF_INET) {
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, address.ai_addr, sizeof(ipv4));
    return (ntohl(ipv4.sin_addr.s_addr) >> 24) == 127;
  }
  if (address.ai_family == AF_INET6) {
    sockaddr_in6 ipv6{};
    std::memcpy(&ipv6, address.ai_addr, sizeof(ipv6));
    return IN6_IS_ADDR_LOOPBACK(&ipv6.sin6_addr);
  }
  return false;
}

/// Whether `host` says loopback by itself. A machine's own name does not count, though /etc/hosts
/// may map it to 127.0.1.1: its peers map it to an address of the network.
bool names_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

UniqueFd open_socket(int family) {
  return UniqueFd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
}

void set_option(int fd, int level, int option, int value) {
  (void)::setsockopt(fd, level, option, &value, sizeof(value));
}

/// Binds and listens; not valid, with errno, on failure.
UniqueFd try_listen(int family, const sockaddr* address, socklen_t length) {
  UniqueFd fd = open_socket(family);
  if (!fd.valid()) {
    return fd;
  }
  set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (family == AF_INET6) {
    set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  }
  if (::bind(fd.get(), address, length) != 0 || ::listen(fd.get(), SOMAXCONN) != 0) {
    const int error = errno;
    fd.reset();
    errno = error;
  }
  return fd;
}

UniqueFd try_listen_loopback(const std::string& host, std::uint16_t port, std::string& problem) {
  const AddressList addresses = resolve(host, port, problem);
  UniqueFd fd;
  for (const addrinfo* a = addresses.get(); a != nullptr && !fd.valid(); a = a->ai_next) {
    if (is_loopback(*a)) {
      fd = try_listen(a->ai_family, a->ai_addr, a->ai_addrlen);
      problem = std::strerror(errno);
      if (!fd.valid() && errno == EADDRINUSE) {
        break;  // peers try the addresses in this order and would meet the other program
      }
    }
  }
  return fd;
}

UniqueFd try_listen_everywhere(std::uint16_t port, std::string& problem) {
  sockaddr_in6 ipv6{};
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(port);
  ipv6.sin6_addr = in6addr_any;
  UniqueFd fd = try_listen(AF_INET6, reinterpret_cast<const sockaddr*>(&ipv6), sizeof(ipv6));
  if (!fd.valid() && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {  // a kernel without IPv6
    sockaddr_in ipv4{};
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(port);
    ipv4.sin_addr.s_addr = htonl(INADDR_ANY);
    fd = try_listen(AF_INET, reinterpret_cast<const sockaddr*>(&ipv4), sizeof(ipv4));
  }
  problem = std::strerror(errno);
  return fd;
}

/// Linux lets a socket connect to itself when its own ephemeral port is the one it asks for and
/// nobody listens there; it would then keep rank 0 from listening at all.
bool is_connected_to_itself(int fd) {
  sockaddr_storage mine{};
  sockaddr_storage theirs{};
  socklen_t mine_length = sizeof(mine);
  socklen_t theirs_length = sizeof(theirs);
  return ::getsockname(fd, reinterpret_cast<sockaddr*>(&mine), &mine_length) == 0 &&
         ::getpeername(fd, reinterpret_cast<sockaddr*>(&theirs), &theirs_length) == 0 &&
         mine_length == theirs_length && std::memcmp(&mine, &theirs, mine_length) == 0;
}

/// errno of one attempt, 0 when connected.
int connect_error(const UniqueFd& fd, const addrinfo& address, const Deadline& deadline) {
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) {
    return 0;
  }
  if (errno != EINPROGRESS && errno != EINTR) {
    return errno;
  }
  std::vector<pollfd> waiting{{.fd = fd.get(), .events = POLLOUT, .revents = 0}};
  if (!wait_ready(waiting, std::min(deadline, Deadline(kConnectLimit)))) {
    return ETIMEDOUT;
  }
  int error = 0;
  socklen_t length = sizeof(error);
  return ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

}  // namespace

IoStatus send_some(int fd, std::span<const std::byte>& rest) {
  while (!rest.empty()) {
    const ssize_t sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      rest = rest.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return IoStatus::kBlocked;
    } else if (errno != EINTR) {
      return IoStatus::kClosed;
    }
  }
  return IoStatus::kDone;
}

IoStatus receive_some(int fd, std::span<std::byte>& rest) {
  while (!rest.empty()) {
    const ssize_t received = ::recv(fd, rest.data(), rest.size(), MSG_DONTWAIT);
    if (received > 0) {
      rest = rest.subspan(static_cast<std::size_t>(received));
    } else if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return IoStatus::kBlocked;
    } else if (received == 0 || errno != EINTR) {
      return IoStatus::kClosed;
    }
  }
  return IoStatus::kDone;
}

bool wait_ready(std::vector<pollfd>& fds, const Deadline& deadline) {
  for (;;) {
    const int ready =
        ::poll(fds.data(), static_cast<nfds_t>(fds.size()), deadline.poll_timeout_ms());
    if (ready > 0) {
      return true;
    }
    if (ready < 0 && errno != EINTR) {
      throw SystemError(errno, fmt::format("cannot wait for sockets: {}", std::strerror(errno)));
    }
    if (deadline.passed()) {
      return false;
    }
  }
}

UniqueFd listen_on(const std::string& host, std::uint16_t port) {
  std::string problem;
  UniqueFd fd = names_loopback(host) ? try_listen_loopback(host, port, problem)
                                     : try_listen_everywhere(port, problem);
  if (!fd.valid()) {
    throw BootstrapError(
        fmt::format("rank 0 cannot listen on port {}: {}; choose another port for all ranks "
                    "(SWITCHYARD_PORT, or MASTER_PORT, which sets it to the next one)",
                    port,
                    problem));
  }
  return fd;
}

UniqueFd adopt_listener(int fd) {
  UniqueFd listener(fd);
  int listening = 0;
  socklen_t length = sizeof(listening);
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0 || listening == 0) {
    throw InvalidArgument(
        fmt::format("listener_fd: descriptor {} is no listening socket; bind it and call listen "
                    "before handing it over, or leave -1",
                    fd));
  }
  (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
  (void)::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  (void)::listen(fd, SOMAXCONN);  // the launcher's queue may be too short for a large group
  return listener;
}

UniqueFd accept_one(const UniqueFd& listener) {
  UniqueFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (fd.valid()) {
    set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
    throw SystemError(errno,
                      fmt::format("rank 0 cannot accept a connection: {}; raise the limit of open "
                                  "files (ulimit -n)",
                                  std::strerror(errno)));
  }
  return fd;  // every other error is the end of that one connection, not of ours
}

UniqueFd try_connect(const std::string& host,
                     std::uint16_t port,
                     const Deadline& deadline,
                     std::string& problem) {
  const AddressList addresses = resolve(host, port, problem);
  for (const addrinfo* a = addresses.get(); a != nullptr; a = a->ai_next) {
    UniqueFd fd = open_socket(a->ai_family);
    const int error = fd.valid() ? connect_error(fd, *a, deadline) : errno;
    if (error == 0 && !is_connected_to_itself(fd.get())) {
      set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
      return fd;
    }
    problem = std::strerror(error == 0 ? ECONNREFUSED : error);
  }
  return {};
}

}  // namespace switchyard::bootstrap
