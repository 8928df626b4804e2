#include "csrc/memory/peer_watch.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "csrc/bootstrap/gather.h"
#include "csrc/memory/process_identity.h"
#include "csrc/protocol/check.h"

namespace switchyard::memory {
namespace {

constexpr int kNotWatched = -1;
constexpr int kAlreadyDead = -2;

/// A descriptor of the process `peer`, or one of the constants above.
int watch(const ProcessIdentity& self, const ProcessIdentity& peer) {
  if (!self.shares_pids_with(peer) || self == peer) {
    return kNotWatched;
  }
  const int pidfd = open_process(peer);
  if (pidfd < 0) {
    return pidfd == -ESRCH ? kAlreadyDead : kNotWatched;
  }
  return pidfd;
}

}  // namespace

PeerWatch::PeerWatch(Bootstrap& bootstrap) {
  const ProcessIdentity self = this_process();
  const auto processes = bootstrap::gather_values(bootstrap, self);
  pidfds_.reserve(processes.size());
  for (const ProcessIdentity& process : processes) {
    pidfds_.push_back(watch(self, process));
  }
}

PeerWatch::~PeerWatch() {
  for (const int pidfd : pidfds_) {
    if (pidfd >= 0) {
      ::close(pidfd);
    }
  }
}

bool PeerWatch::is_dead(int rank) const {
  SY_CHECK(rank >= 0 && static_cast<std::size_t>(rank) < pidfds_.size(),
           "only ranks of the group are watched");
  const int pidfd = pidfds_[static_cast<std::size_t>(rank)];
  if (pidfd < 0) {
    return pidfd == kAlreadyDead;
  }
  pollfd watched{.fd = pidfd, .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, 0) == 1 && (watched.revents & POLLIN) != 0;
}

}  // namespace switchyard::memory
