#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <string>

#include "csrc/bootstrap/contract.h"
#include "csrc/bootstrap/tcp_frame.h"
#include "csrc/bootstrap/tcp_handshake.h"
#include "csrc/bootstrap/tcp_rendezvous.h"
#include "csrc/bootstrap/tcp_socket.h"
#include "switchyard/error.h"

namespace switchyard::bootstrap {
namespace {

/// How long a connection may take to prove itself. A true rank needs milliseconds; one that a busy
/// machine holds up for longer than this fails. Strangers only keep a descriptor that long.
/// derived: Linux sends a lost segment again after 0.2 s, then twice as long each time, so five
/// losses in a row are survived.
constexpr std::chrono::milliseconds kHandshakeLimit{10'000};
static_assert(kHandshakeLimit >= std::chrono::milliseconds(200 + 400 + 800 + 1600 + 3200));

/// Unproven connections kept beyond one for each rank. When more come, the oldest goes: a flood can
/// then delay a rank but not exhaust the descriptors. derived: a sixteenth of the 1024 that a
/// process usually may have open.
constexpr std::size_t kMaxStrangers = 64;
static_assert(16 * kMaxStrangers <= 1024);

class Acceptor {
 public:
  explicit Acceptor(const TcpBootstrapOptions& options)
      : num_ranks_(options.num_ranks),
        timeout_(options.timeout),
        key_(options.secret),
        listener_(options.listener_fd >= 0 ? adopt_listener(options.listener_fd)
                                           : listen_on(options.host, options.port)),
        peers_(static_cast<std::size_t>(options.num_ranks - 1)) {}

  std::vector<UniqueFd> run(const Deadline& deadline) {
    while (num_proven_ < peers_.size()) {
      if (!wait(deadline)) {
        fail(missing_message());
      }
      check_peers();
      advance_pending();
      accept_all();
    }
    return std::move(peers_);
  }

 private:
  struct Pending {
    UniqueFd fd;
    ServerHandshake handshake;
    Deadline limit{kHandshakeLimit};
  };

  bool wait(const Deadline& deadline);
  void check_peers();
  void advance_pending();
  void accept_all();
  void admit(UniqueFd fd, const Claim& claim);
  [[nodiscard]] std::string missing_message() const;

  [[noreturn]] void fail(const std::string& message) {
    for (const UniqueFd& peer : peers_) {
      if (peer.valid()) {
        send_failure(peer.get(), message);
      }
    }
    throw BootstrapError(message);
  }

  int num_ranks_;
  std::chrono::milliseconds timeout_;
  HandshakeKey key_;
  UniqueFd listener_;
  std::vector<UniqueFd> peers_;  // proven; element i belongs to rank i + 1
  std::size_t num_proven_ = 0;
  std::list<Pending> pending_;  // oldest first
  std::size_t num_refused_ = 0;
};

/// Waits until something happens on any connection or a handshake runs out of time; false at the
/// deadline.
bool Acceptor::wait(const Deadline& deadline) {
  std::vector<pollfd> waiting{{.fd = listener_.get(), .events = POLLIN, .revents = 0}};
  Deadline wake = deadline;
  for (const Pending& pending : pending_) {
    waiting.push_back({.fd = pending.fd.get(), .events = POLLIN, .revents = 0});
    wake = std::min(wake, pending.limit);
  }
  for (const UniqueFd& peer : peers_) {
    if (peer.valid()) {
      // Its first frame stays in the socket until the group is complete; only its leaving matters
      // now.
      waiting.push_back({.fd = peer.get(), .events = POLLRDHUP, .revents = 0});
    }
  }
  (void)wait_ready(waiting, wake);
  return !deadline.passed();  // even if something is ready: strangers must not stretch the deadline
}

void Acceptor::check_peers() {
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    pollfd peer{.fd = peers_[i].get(), .events = POLLRDHUP, .revents = 0};
    if (peers_[i].valid() && ::poll(&peer, 1, 0) == 1) {
      fail(fmt::format("rank {} left before the group was complete; see its own error", i + 1));
    }
  }
}

void Acceptor::advance_pending() {
  for (auto it = pending_.begin(); it != pending_.end();) {
    const auto status = it->handshake.advance(it->fd.get(), key_);
    if (status == ServerHandshake::Status::kProven) {
      admit(std::move(it->fd), it->handshake.claim());
      it = pending_.erase(it);
    } else if (status == ServerHandshake::Status::kRefused || it->limit.passed()) {
      ++num_refused_;
      it = pending_.erase(it);
    } else {
      ++it;
    }
  }
}

void Acceptor::accept_all() {
  for (UniqueFd fd = accept_one(listener_); fd.valid(); fd = accept_one(listener_)) {
    if (pending_.size() >= peers_.size() + kMaxStrangers) {
      ++num_refused_;
      pending_.pop_front();
    }
    pending_.push_back({.fd = std::move(fd), .handshake = {}});
  }
}

/// Takes a proven connection into the group. A claim that cannot be true is a mistake of the
/// launcher: it ends the group.
void Acceptor::admit(UniqueFd fd, const Claim& claim) {
  std::string problem;
  if (claim.num_ranks != static_cast<std::uint32_t>(num_ranks_)) {
    problem = fmt::format(
        "rank {} was started for a group of {} ranks, rank 0 for {}; give all the same WORLD_SIZE",
        claim.rank,
        claim.num_ranks,
        num_ranks_);
  } else if (claim.rank == 0 || claim.rank >= claim.num_ranks || peers_[claim.rank - 1].valid()) {
    problem = fmt::format(
        "two ranks claim to be rank {} of {}; give each its own RANK", claim.rank, num_ranks_);
  }
  if (!problem.empty()) {
    send_failure(fd.get(), problem);
    fail(problem);
  }
  peers_[claim.rank - 1] = std::move(fd);
  ++num_proven_;
}

std::string Acceptor::missing_message() const {
  std::vector<int> missing;
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    if (!peers_[i].valid()) {
      missing.push_back(static_cast<int>(i) + 1);
    }
  }
  const std::size_t num_strangers = num_refused_ + pending_.size();
  return fmt::format(
      "{} of {} did not connect to rank 0 within {} ms; check that every rank runs and can reach "
      "rank 0{}",
      describe_ranks(missing),
      num_ranks_,
      timeout_.count(),
      num_strangers == 0
          ? ""
          : fmt::format("; {} connections came that did not prove the job's secret, so compare "
                        "SWITCHYARD_SECRET of all ranks",
                        num_strangers));
}

}  // namespace

std::vector<UniqueFd> accept_ranks(const TcpBootstrapOptions& options, const Deadline& deadline) {
  return Acceptor(options).run(deadline);
}

}  // namespace switchyard::bootstrap
