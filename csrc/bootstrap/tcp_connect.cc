#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "csrc/bootstrap/tcp_handshake.h"
#include "csrc/bootstrap/tcp_rendezvous.h"
#include "csrc/bootstrap/tcp_socket.h"
#include "switchyard/error.h"

namespace switchyard::bootstrap {
namespace {

/// Pause between attempts: short at first, since ranks mostly start together, then gentle on a rank
/// 0 that comes late.
constexpr std::chrono::milliseconds kFirstPause{5};
constexpr std::chrono::milliseconds kLongestPause{250};

[[noreturn]] void throw_wrong_secret(const TcpBootstrapOptions& options) {
  throw BootstrapError(fmt::format(
      "wrong secret: {}:{} does not know the secret of rank {}; give all ranks the same "
      "SWITCHYARD_SECRET and the same version of Switchyard, and check that the port is "
      "not another program's",
      options.host,
      options.port,
      options.rank));
}

}  // namespace

UniqueFd connect_to_rank0(const TcpBootstrapOptions& options, const Deadline& deadline) {
  const HandshakeKey key(options.secret);
  const Claim claim{.rank = static_cast<std::uint32_t>(options.rank),
                    .num_ranks = static_cast<std::uint32_t>(options.num_ranks)};
  std::string problem = "no time to try";
  for (auto pause = kFirstPause; !deadline.passed(); pause = std::min(2 * pause, kLongestPause)) {
    UniqueFd fd = try_connect(options.host, options.port, deadline, problem);
    if (fd.valid()) {
      switch (client_handshake(fd.get(), key, claim, deadline)) {
        case ClientHandshakeResult::kProven:
          return fd;
        case ClientHandshakeResult::kWrongSecret:
          throw_wrong_secret(options);
        case ClientHandshakeResult::kClosed:
          problem = "it closed the connection";
          break;
        case ClientHandshakeResult::kTimeout:
          problem = "it accepted the connection and then did not answer";
          break;
      }
    }
    std::this_thread::sleep_until(std::min(deadline.end(), Deadline::Clock::now() + pause));
  }
  throw BootstrapError(
      fmt::format("rank {} cannot reach rank 0 at {}:{} within {} ms: {}; check that rank 0 runs, "
                  "that MASTER_ADDR and the port are its own, and that no firewall lies between",
                  options.rank,
                  options.host,
                  options.port,
                  options.timeout.count(),
                  problem));
}

}  // namespace switchyard::bootstrap
