#include "csrc/memory/descriptor_exchange.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "csrc/bootstrap/gather.h"
#include "csrc/bootstrap/together.h"
#include "csrc/memory/descriptor_socket.h"
#include "switchyard/error.h"

namespace switchyard::memory {
namespace {

using bootstrap::UniqueFd;

/// What a rank says of its descriptor. Plain data without padding.
struct Offer {
  std::int64_t fd = -1;  ///< in its owner
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t raw_device = 0;  ///< of a device file
  std::uint64_t type = 0;        ///< S_IFMT

  bool names_the_file_of(const Offer& other) const {
    return device == other.device && inode == other.inode && raw_device == other.raw_device &&
           type == other.type;
  }
};

Offer examine(int fd) {
  struct stat seen {};
  if (::fstat(fd, &seen) != 0) {
    const int error = errno;
    throw SystemError(error,
                      fmt::format("cannot examine descriptor {}: {}", fd, std::strerror(error)));
  }
  return {.fd = fd,
          .device = seen.st_dev,
          .inode = seen.st_ino,
          .raw_device = seen.st_rdev,
          .type = seen.st_mode & S_IFMT};
}

/// One exchange. Every method is collective and ends the same way on every rank.
class Exchange {
 public:
  Exchange(Bootstrap& bootstrap, int mine, const std::vector<ProcessIdentity>& processes)
      : bootstrap_(bootstrap), mine_(mine), processes_(processes) {
    Offer offer;
    bootstrap::run_together(bootstrap_, [&] { offer = examine(mine_); });
    offers_ = bootstrap::gather_values(bootstrap_, offer);
  }

  ExchangedDescriptors run() {
    const auto refused = take_all();
    if (!refused) {
      return {.of_rank = std::move(received_), .way = "taken by pidfd"};
    }
    if (const auto failure = send_all()) {
      throw SystemError(failure->system_errno,
                        fmt::format("descriptors cannot be passed between the ranks. By pidfd: "
                                    "rank {}: {}. By socket: rank {}: {}",
                                    refused->rank,
                                    refused->message,
                                    failure->rank,
                                    failure->message));
    }
    return {.of_rank = std::move(received_), .way = "sent over sockets"};
  }

 private:
  template <class Body>
  void for_each_peer(Body body) {
    for (int rank = 0; rank < bootstrap_.num_ranks(); ++rank) {
      if (rank != bootstrap_.rank()) {
        body(rank);
      }
    }
  }

  void forget() { received_ = std::vector<UniqueFd>(offers_.size()); }

  void check_received(int rank) {
    const auto i = static_cast<std::size_t>(rank);
    if (!examine(received_[i].get()).names_the_file_of(offers_[i])) {
      throw SystemError(
          ESTALE, fmt::format("the descriptor of rank {} is not of the file it announced", rank));
    }
  }

  std::optional<bootstrap::Failure> take_all() {
    return bootstrap::run_and_compare(bootstrap_, [this] {
      forget();
      const ProcessIdentity& self = processes_[static_cast<std::size_t>(bootstrap_.rank())];
      for_each_peer([&](int rank) {
        const auto i = static_cast<std::size_t>(rank);
        if (!self.shares_pids_with(processes_[i])) {
          throw SystemError(ESRCH, fmt::format("rank {} lives in another PID namespace", rank));
        }
        received_[i] = take_descriptor(processes_[i], static_cast<int>(offers_[i].fd));
        check_received(rank);
      });
    });
  }

  /// No rank waits inside a step: whoever is connected to has been listening since the step before,
  /// and what is accepted has been sent in the step before.
  std::optional<bootstrap::Failure> send_all() {
    std::optional<DescriptorSocket> socket;
    const auto not_open =
        bootstrap::run_and_compare(bootstrap_, [&] { socket.emplace(bootstrap_.num_ranks()); });
    if (not_open) {
      return not_open;
    }
    const auto addresses = bootstrap::gather_values(bootstrap_, socket->address());
    const auto not_sent = bootstrap::run_and_compare(bootstrap_, [&] {
      for_each_peer([&](int rank) {
        socket->send_to(addresses[static_cast<std::size_t>(rank)], rank, bootstrap_.rank(), mine_);
      });
    });
    if (not_sent) {
      return not_sent;
    }
    return bootstrap::run_and_compare(bootstrap_, [&] {
      forget();
      socket->receive(received_);
      for_each_peer([&](int rank) {
        if (!received_[static_cast<std::size_t>(rank)].valid()) {
          throw SystemError(EPROTO, fmt::format("the descriptor of rank {} did not come", rank));
        }
        check_received(rank);
      });
    });
  }

  Bootstrap& bootstrap_;
  int mine_;
  const std::vector<ProcessIdentity>& processes_;
  std::vector<Offer> offers_;
  std::vector<UniqueFd> received_;
};

}  // namespace

UniqueFd take_descriptor(const ProcessIdentity& owner, int fd) {
  const int opened = open_process(owner);
  if (opened < 0) {
    throw SystemError(-opened,
                      fmt::format("cannot open process {}: {}", owner.pid, std::strerror(-opened)));
  }
  const UniqueFd pidfd(opened);
  const long taken = ::syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0U);
  if (taken < 0) {
    const int error = errno;
    throw SystemError(
        error,
        fmt::format("cannot take descriptor {} of process {}: {} (pidfd_getfd needs one user for "
                    "all ranks, the right to trace, Linux 5.6, and a container that permits it)",
                    fd,
                    owner.pid,
                    std::strerror(error)));
  }
  return UniqueFd(static_cast<int>(taken));
}

ExchangedDescriptors exchange_descriptors(Bootstrap& bootstrap,
                                          int mine,
                                          const std::vector<ProcessIdentity>& processes) {
  return Exchange(bootstrap, mine, processes).run();
}

}  // namespace switchyard::memory
