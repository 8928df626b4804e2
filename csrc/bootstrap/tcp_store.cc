#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "csrc/bootstrap/contract.h"
#include "csrc/bootstrap/tcp_frame.h"
#include "csrc/bootstrap/tcp_rendezvous.h"
#include "csrc/bootstrap/tcp_socket.h"
#include "switchyard/bootstrap.h"
#include "switchyard/error.h"

namespace switchyard {
namespace {

using bootstrap::Deadline;
using bootstrap::FrameKind;
using bootstrap::FrameReader;
using bootstrap::FrameWriter;
using bootstrap::IoStatus;
using bootstrap::UniqueFd;

constexpr std::size_t kMinSecretBytes = 8;

/// How much longer a rank waits than rank 0 does. When a third rank is missing, rank 0 knows which;
/// without the grace the others would give up in the same moment and blame rank 0. Too short: the
/// wrong rank is named. Too long: a rank notices so much later that rank 0 is stopped.
/// derived: the verdict is one segment; Linux sends a lost one again after 0.2, 0.4 and 0.8 s, so
/// three losses in a row are survived.
constexpr std::chrono::milliseconds kVerdictGrace{2000};
static_assert(kVerdictGrace >= std::chrono::milliseconds(200 + 400 + 800));

std::string out_of_order_message(int rank) {
  return fmt::format(
      "all_gather: rank {} sent something else than what must come next; every rank must run the "
      "same "
      "version of Switchyard",
      rank);
}

/// What the ranks share: the sizes, and that the first failure ends the group.
class TcpBootstrap : public Bootstrap {
 public:
  explicit TcpBootstrap(const TcpBootstrapOptions& options)
      : rank_(options.rank), num_ranks_(options.num_ranks), timeout_(options.timeout) {}

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int num_ranks() const override { return num_ranks_; }

  /// For the gathers to come. `grace`: how much longer than that another rank than 0 waits.
  void use_limits(std::chrono::milliseconds timeout, std::chrono::milliseconds grace) {
    timeout_ = timeout;
    grace_ = grace;
  }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    bootstrap::check_gather_sizes(mine.size(), all.size(), num_ranks_);
    if (!failure_.empty()) {
      throw BootstrapError(failure_);
    }
    exchange(mine, all, sequence_);
    ++sequence_;
  }

 protected:
  virtual void exchange(std::span<const std::byte> mine,
                        std::span<std::byte> all,
                        std::uint64_t sequence) = 0;

  [[nodiscard]] std::chrono::milliseconds timeout() const { return timeout_; }
  [[nodiscard]] std::chrono::milliseconds grace() const { return grace_; }

  /// Ends the group on this rank; the caller has told the others what they need to know.
  [[noreturn]] void end_group(const std::string& message) {
    failure_ = message;
    throw BootstrapError(failure_);
  }

 private:
  int rank_;
  int num_ranks_;
  std::chrono::milliseconds timeout_;
  std::chrono::milliseconds grace_ = kVerdictGrace;
  std::uint64_t sequence_ = 0;
  std::string failure_;
};

/// Rank 0, the middle of the star: collects from every other rank, then sends everything to each.
class StarCentre final : public TcpBootstrap {
 public:
  StarCentre(const TcpBootstrapOptions& options, std::vector<UniqueFd> peers)
      : TcpBootstrap(options), peers_(std::move(peers)) {}

 private:
  void exchange(std::span<const std::byte> mine,
                std::span<std::byte> all,
                std::uint64_t sequence) override {
    const Deadline deadline(timeout());
    std::copy(mine.begin(), mine.end(), all.begin());
    collect(all.subspan(mine.size()), mine.size(), sequence, deadline);
    distribute(all, sequence, deadline);
  }

  void collect(std::span<std::byte> rest,
               std::size_t bytes,
               std::uint64_t sequence,
               const Deadline& deadline);
  void distribute(std::span<const std::byte> all, std::uint64_t sequence, const Deadline& deadline);

  /// Polls the peers whose transfer is not done, calling `advance(i)` for each that is ready, until
  /// all are done. Returns the ranks that were not when `deadline` passed.
  template <class Transfer, class Advance>
  std::vector<int> drive(const std::vector<Transfer>& transfers,
                         short events,
                         const Deadline& deadline,
                         Advance advance);

  [[noreturn]] void fail(const std::string& message) {
    for (const UniqueFd& peer : peers_) {
      bootstrap::send_failure(peer.get(), message);
    }
    peers_.clear();
    end_group(message);
  }

  std::vector<UniqueFd> peers_;  // element i belongs to rank i + 1
};

template <class Transfer, class Advance>
std::vector<int> StarCentre::drive(const std::vector<Transfer>& transfers,
                                   short events,
                                   const Deadline& deadline,
                                   Advance advance) {
  for (;;) {
    std::vector<pollfd> waiting;
    std::vector<int> ranks;
    for (std::size_t i = 0; i < transfers.size(); ++i) {
      if (!transfers[i].done()) {
        waiting.push_back({.fd = peers_[i].get(), .events = events, .revents = 0});
        ranks.push_back(static_cast<int>(i) + 1);
      }
    }
    if (ranks.empty() || !bootstrap::wait_ready(waiting, deadline)) {
      return ranks;
    }
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].revents != 0) {
        advance(static_cast<std::size_t>(ranks[i]) - 1);
      }
    }
  }
}

void StarCentre::collect(std::span<std::byte> rest,
                         std::size_t bytes,
                         std::uint64_t sequence,
                         const Deadline& deadline) {
  std::vector<FrameReader> readers;
  readers.reserve(peers_.size());
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    readers.emplace_back(sequence, rest.subspan(i * bytes, bytes));
  }
  const auto late = drive(readers, POLLIN, deadline, [&](std::size_t i) {
    const int rank = static_cast<int>(i) + 1;
    switch (readers[i].advance(peers_[i].get())) {
      case FrameReader::Status::kPending:
      case FrameReader::Status::kDone:
        return;
      case FrameReader::Status::kClosed:
        fail(bootstrap::left_message(rank));
      case FrameReader::Status::kWrongLength:
        fail(bootstrap::length_mismatch_message(rank, readers[i].got_bytes(), bytes));
      case FrameReader::Status::kFailure:
      case FrameReader::Status::kOutOfOrder:
        fail(out_of_order_message(rank));
    }
  });
  if (!late.empty()) {
    fail(bootstrap::late_message(late, timeout()));
  }
}

void StarCentre::distribute(std::span<const std::byte> all,
                            std::uint64_t sequence,
                            const Deadline& deadline) {
  std::vector<FrameWriter> writers(
      peers_.size(), FrameWriter({.kind = FrameKind::kGather, .sequence = sequence}, all));
  const auto fail_midway = [&](const std::string& message) {
    for (std::size_t i = 0; i < writers.size(); ++i) {
      if (!writers[i].done()) {
        peers_[i].reset();  // the text of the failure would arrive as bytes of the answer
      }
    }
    fail(message);
  };
  const auto late = drive(writers, POLLOUT, deadline, [&](std::size_t i) {
    if (writers[i].advance(peers_[i].get()) == IoStatus::kClosed) {
      fail_midway(bootstrap::left_message(static_cast<int>(i) + 1));
    }
  });
  if (!late.empty()) {
    fail_midway(fmt::format("all_gather: {} did not take the answer within {} ms; is it stopped?",
                            bootstrap::describe_ranks(late),
                            timeout().count()));
  }
}

/// Every other rank: one connection, to rank 0.
class StarPoint final : public TcpBootstrap {
 public:
  StarPoint(const TcpBootstrapOptions& options, UniqueFd centre)
      : TcpBootstrap(options), centre_(std::move(centre)) {}

 private:
  void exchange(std::span<const std::byte> mine,
                std::span<std::byte> all,
                std::uint64_t sequence) override;

  [[noreturn]] void fail(const std::string& message) {
    centre_.reset();
    end_group(message);
  }

  UniqueFd centre_;
};

void StarPoint::exchange(std::span<const std::byte> mine,
                         std::span<std::byte> all,
                         std::uint64_t sequence) {
  const Deadline deadline(timeout(), grace());
  FrameWriter writer({.kind = FrameKind::kGather, .sequence = sequence}, mine);
  FrameReader reader(sequence, all);
  bool sending = true;
  while (!reader.done()) {
    // Reads while it still sends: rank 0 may have ended the group and not be listening any more.
    sending = sending && writer.advance(centre_.get()) == IoStatus::kBlocked;
    switch (reader.advance(centre_.get())) {
      case FrameReader::Status::kDone:
        return;
      case FrameReader::Status::kPending:
        break;
      case FrameReader::Status::kClosed:
        fail(bootstrap::left_message(0));
      case FrameReader::Status::kFailure:
        fail(reader.failure_text());
      case FrameReader::Status::kWrongLength:
      case FrameReader::Status::kOutOfOrder:
        fail(out_of_order_message(0));
    }
    const short events = static_cast<short>(sending ? POLLIN | POLLOUT : POLLIN);
    std::vector<pollfd> waiting{{.fd = centre_.get(), .events = events, .revents = 0}};
    if (!bootstrap::wait_ready(waiting, deadline)) {
      fail(
          fmt::format("all_gather: rank 0 did not answer within {} ms; it has not come, or waits "
                      "itself for another rank",
                      timeout().count()));
    }
  }
}

/// A group of one has nobody to talk to.
class SingleRank final : public TcpBootstrap {
 public:
  using TcpBootstrap::TcpBootstrap;

 private:
  void exchange(std::span<const std::byte> mine,
                std::span<std::byte> all,
                std::uint64_t /*sequence*/) override {
    std::copy(mine.begin(), mine.end(), all.begin());
  }
};

}  // namespace

void bootstrap::check_tcp_options(const TcpBootstrapOptions& options) {
  check_rank(options.rank, options.num_ranks);
  if (options.secret.size() < kMinSecretBytes) {
    throw InvalidArgument(fmt::format(
        "secret: got {} bytes, wanted at least {} that nobody else can guess, for example "
        "of `openssl rand -hex 32`; set SWITCHYARD_SECRET on all ranks",
        options.secret.size(),
        kMinSecretBytes));
  }
  if (options.listener_fd >= 0 && options.rank != 0) {
    throw InvalidArgument(
        fmt::format("listener_fd: got {} on rank {}, wanted -1; only rank 0 listens",
                    options.listener_fd,
                    options.rank));
  }
  if (options.port == 0 && options.listener_fd < 0) {
    throw InvalidArgument("port: got 0, wanted 1 to 65535, the same on every rank");
  }
}

std::unique_ptr<Bootstrap> bootstrap::join_tcp_store(const TcpBootstrapOptions& options,
                                                     std::chrono::milliseconds meeting_limit) {
  check_tcp_options(options);
  if (options.num_ranks == 1) {
    const UniqueFd unused(options.listener_fd);
    return std::make_unique<SingleRank>(options);
  }
  TcpBootstrapOptions meeting = options;
  meeting.timeout = meeting_limit;
  const Deadline deadline(meeting_limit);
  std::unique_ptr<TcpBootstrap> made;
  if (options.rank == 0) {
    made = std::make_unique<StarCentre>(meeting, accept_ranks(meeting, deadline));
  } else {
    made = std::make_unique<StarPoint>(meeting, connect_to_rank0(meeting, deadline));
  }
  if (meeting_limit < options.timeout) {
    // An attempt with others after it: a rank 0 that stopped must not hold it up for longer.
    made->use_limits(meeting_limit, std::min(kVerdictGrace, meeting_limit));
  }
  made->barrier();  // whoever returns from here knows that the group is complete
  made->use_limits(options.timeout, kVerdictGrace);
  return made;
}

std::unique_ptr<Bootstrap> make_tcp_bootstrap(const TcpBootstrapOptions& options) {
  return bootstrap::join_tcp_store(options, options.timeout);
}

}  // namespace switchyard
