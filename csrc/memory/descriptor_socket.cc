#include "csrc/memory/descriptor_socket.h"

#include <fmt/format.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "csrc/protocol/check.h"
#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

using bootstrap::UniqueFd;

constexpr std::string_view kNamePrefix = "switchyard-";

/// Beyond the group's own connections there is room for this many of strangers, who are dropped.
constexpr int kStrangers = 64;

/// What travels beside a descriptor. Plain data without padding.
struct Message {
  std::array<unsigned char, 16> token{};
  std::int64_t rank = -1;
};
static_assert(sizeof(Message) == 24);

[[noreturn]] void throw_system_error(int error, const std::string& what) {
  throw SystemError(error, fmt::format("{}: {}", what, std::strerror(error)));
}

/// An address that begins with NUL lives in the network namespace, not in a file system.
struct AbstractAddress {
  sockaddr_un address{};
  socklen_t bytes = 0;

  explicit AbstractAddress(const std::array<unsigned char, 16>& name) {
    std::array<char, 2 * sizeof(name) + 1> hex{};
    ::sodium_bin2hex(hex.data(), hex.size(), name.data(), name.size());
    static_assert(1 + kNamePrefix.size() + hex.size() <= sizeof(address.sun_path));
    address.sun_family = AF_UNIX;
    char* const behind_nul = address.sun_path + 1;
    char* const digits = std::copy(kNamePrefix.begin(), kNamePrefix.end(), behind_nul);
    char* const end = std::copy_n(hex.data(), hex.size() - 1, digits);
    bytes = static_cast<socklen_t>(end - reinterpret_cast<char*>(&address));
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

UniqueFd make_socket() {
  UniqueFd made(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.valid()) {
    throw_system_error(errno, "cannot make a UNIX socket");
  }
  return made;
}

/// Whether the process at the other end runs under this one's user: what mode 0600 is to a file.
bool is_of_this_user(const UniqueFd& connection) {
  ucred peer{};
  socklen_t bytes = sizeof(peer);
  return ::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
         peer.uid == ::geteuid();
}

/// A message with room for one descriptor, for sendmsg and recvmsg.
class Packet {
 public:
  explicit Packet(const Message& message = {}) : content_(message) {
    part_ = {.iov_base = &content_, .iov_len = sizeof(content_)};
    header_.msg_iov = &part_;
    header_.msg_iovlen = 1;
    header_.msg_control = control_.data();
    // Not control_.size(): alignment leaves room for a second descriptor there, and nobody would
    // close it.
    header_.msg_controllen = CMSG_LEN(sizeof(int));
  }
  Packet(const Packet&) = delete;
  Packet& operator=(const Packet&) = delete;

  void attach(int fd) {
    cmsghdr* control = CMSG_FIRSTHDR(&header_);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(fd));
    std::memcpy(CMSG_DATA(control), &fd, sizeof(fd));
  }

  /// The first descriptor that came; the kernel drops what the room does not hold.
  [[nodiscard]] UniqueFd detach() {
    cmsghdr* control = CMSG_FIRSTHDR(&header_);
    if (control == nullptr || control->cmsg_level != SOL_SOCKET ||
        control->cmsg_type != SCM_RIGHTS || control->cmsg_len != CMSG_LEN(sizeof(int))) {
      return {};
    }
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(control), sizeof(fd));
    return UniqueFd(fd);
  }

  [[nodiscard]] msghdr* header() { return &header_; }
  [[nodiscard]] const Message& content() const { return content_; }

 private:
  Message content_;
  iovec part_{};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control_{};
  msghdr header_{};
};

/// The next connection that waits, or none. Errors: SystemError
UniqueFd accept_next(const UniqueFd& listener) {
  for (;;) {
    UniqueFd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (accepted.valid() || errno == EAGAIN) {
      return accepted;
    }
    if (errno != EINTR && errno != ECONNABORTED) {
      throw_system_error(errno, "cannot accept the connection of a rank");
    }
  }
}

}  // namespace

DescriptorSocket::DescriptorSocket(int num_ranks) {
  SY_CHECK(::sodium_init() >= 0, "libsodium can be initialised");
  ::randombytes_buf(address_.name.data(), address_.name.size());
  ::randombytes_buf(address_.token.data(), address_.token.size());
  listener_ = make_socket();
  const AbstractAddress own(address_.name);
  if (::bind(listener_.get(), own.get(), own.bytes) != 0 ||
      ::listen(listener_.get(), num_ranks + kStrangers) != 0) {
    throw_system_error(errno, "cannot listen on a UNIX socket");
  }
}

void DescriptorSocket::send_to(const SocketAddress& address, int rank, int my_rank, int fd) {
  UniqueFd connection = make_socket();
  const AbstractAddress target(address.name);
  if (::connect(connection.get(), target.get(), target.bytes) != 0) {
    throw_system_error(
        errno,
        fmt::format("cannot reach the UNIX socket of rank {} (do all ranks share one "
                    "network namespace?)",
                    rank));
  }
  if (!is_of_this_user(connection)) {
    throw SystemError(EACCES, fmt::format("rank {} runs under another user", rank));
  }
  Packet packet({.token = address.token, .rank = my_rank});
  packet.attach(fd);
  if (::sendmsg(connection.get(), packet.header(), MSG_NOSIGNAL) < 0) {
    throw_system_error(errno, fmt::format("cannot send a descriptor to rank {}", rank));
  }
  connections_.push_back(std::move(connection));
}

void DescriptorSocket::receive(std::vector<UniqueFd>& of_rank) {
  for (;;) {
    const UniqueFd connection = accept_next(listener_);
    if (!connection.valid()) {
      return;
    }
    Packet packet;
    const ssize_t bytes = ::recvmsg(connection.get(), packet.header(), MSG_CMSG_CLOEXEC);
    UniqueFd fd = bytes < 0 ? UniqueFd() : packet.detach();
    const Message& message = packet.content();
    const bool is_of_group =
        bytes == static_cast<ssize_t>(sizeof(Message)) && is_of_this_user(connection) &&
        ::sodium_memcmp(message.token.data(), address_.token.data(), message.token.size()) == 0;
    if (!is_of_group || message.rank < 0 ||
        message.rank >= static_cast<std::int64_t>(of_rank.size())) {
      continue;
    }
    if ((packet.header()->msg_flags & MSG_CTRUNC) != 0) {
      throw_system_error(
          EMFILE,
          fmt::format("cannot receive the descriptor of rank {}; raise the limit (ulimit -n)",
                      message.rank));
    }
    auto& place = of_rank[static_cast<std::size_t>(message.rank)];
    if (!place.valid()) {
      place = std::move(fd);
    }
  }
}

}  // namespace switchyard::memory
