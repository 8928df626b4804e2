#include "benchmarks/cli/launcher.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "benchmarks/cli/rank_runner.h"
#include "benchmarks/cli/start_line.h"
#include "benchmarks/cli/supervisor.h"
#include "benchmarks/cli/system_error.h"
#include "benchmarks/common/core_binding.h"
#include "benchmarks/cuda/cuda_machine.h"
#include "switchyard/bootstrap.h"
#include "switchyard/error.h"
#include "switchyard/group.h"

namespace switchyard::bench {
namespace {

/// Ranks meet at the start line after checks that take a busy machine much longer than any
/// operation.
constexpr int kStartLinePatience = 10;

/// The launcher searches a line again with every 4 KiB of it that arrive: 60 KiB are soon found.
constexpr std::size_t kTraceEventsPerLine = 1000;

// The store's socket, bound to a free port of this machine before any rank exists, so that no other
// program can take it.
class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (fd_ < 0 || ::bind(fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(fd_, SOMAXCONN) != 0 ||
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw_system_error("listen on 127.0.0.1 for the ranks' rendezvous");
    }
    port_ = ntohs(address.sin_port);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { close(); }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  void close() {
    if (fd_ >= 0) {
      ::close(fd_);
      fd_ = -1;
    }
  }
  /// The caller closes it.
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
  std::uint16_t port_ = 0;
};

std::string random_secret() {
  std::array<unsigned char, 32> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw_system_error("get random bytes for this run's secret");
  }
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

/// The library speaks of its Config, of which the user of the command knows the options.
std::string in_words_of_the_command(std::string message) {
  constexpr std::pair<std::string_view, std::string_view> kOptions[] = {
      {"Config::heap_bytes", "--heap-bytes"},
      {"Config::num_workers", "--workers"},
      {"Config::num_channels", "--channels"},
      {"Config::expert_copies", "--expert-copies"},
      {"Config::timeout", "--timeout"},
      {"Config::target", "--target"},
      {"Config::num_sms", "--sms"}};
  for (const auto& [field, option] : kOptions) {
    for (std::size_t at = 0; (at = message.find(field, at)) != std::string::npos;) {
      message.replace(at, field.size(), option);
    }
  }
  return message;
}

RankFailure describe_exception(int rank) {
  try {
    throw;
  } catch (const Error& error) {
    return {.rank = rank, .code = error.code(), .message = error.what()};
  } catch (const std::exception& error) {
    return {.rank = rank, .code = ErrorCode::kInternal, .message = error.what()};
  }
}

class Launch {
 public:
  Launch(const BenchOptions& options, const std::vector<CasePlan>& plans)
      : options_(options),
        plans_(plans),
        num_ranks_(options.workload.num_ranks),
        start_lines_(num_ranks_) {}

  LaunchResult run(const RankMessages::OnProgress& on_progress);

 private:
  int run_process_rank(int rank, int output_fd);
  int run_all_as_threads(int output_fd);
  int run_launched_rank(int output_fd);
  bool run_rank(std::unique_ptr<Bootstrap> bootstrap, RankChannel& channel, StartLine* start_line);
  std::unique_ptr<StartLine> make_start_line() const {
    return start_lines_.make(options_.timeout * kStartLinePatience);
  }
  void send_trace(Bootstrap& bootstrap,
                  RankChannel& channel,
                  std::size_t case_idx,
                  const Trace& trace,
                  bool failed) const;
  void add_children(Supervisor& supervisor);
  LaunchResult judge(const SupervisedRun& run, const RankMessages& messages) const;
  std::string describe_end(const ChildEnd& end) const;

  const BenchOptions& options_;
  const std::vector<CasePlan>& plans_;
  int num_ranks_;
  SharedStartLines start_lines_;
  std::optional<Listener> listener_;
  std::string secret_;
};

// Every rank has a line to the launcher, except under another launcher: there rank 0 alone reports,
// and after a failure nobody can be gathered from.
void Launch::send_trace(Bootstrap& bootstrap,
                        RankChannel& channel,
                        std::size_t case_idx,
                        const Trace& trace,
                        bool failed) const {
  const nlohmann::json packed(pack_trace(trace, kTraceEventsPerLine));
  std::vector<nlohmann::json> by_rank(1, packed);
  if (options_.ranks_as == RanksAs::kLaunched) {
    if (failed) {
      return;
    }
    by_rank = gather_json(bootstrap, packed);
    if (bootstrap.rank() != 0) {
      return;
    }
  }
  for (const nlohmann::json& documents : by_rank) {
    for (const nlohmann::json& document : documents) {
      channel.send_trace(case_idx, document);
    }
  }
}

// `start_line` null: one over the bootstrap. False after a failure, which has been sent.
bool Launch::run_rank(std::unique_ptr<Bootstrap> bootstrap,
                      RankChannel& channel,
                      StartLine* start_line) {
  const int rank = bootstrap->rank();
  std::unique_ptr<StartLine> own;
  try {
    Group group(std::move(bootstrap));
    if (start_line == nullptr) {
      own = make_bootstrap_start_line(group.bootstrap());
      start_line = own.get();
    }
    RunListener listener;
    listener.on_progress = [&](double fraction, const std::string& doing) {
      if (rank == 0) {
        channel.send_progress(fraction, doing);
      }
    };
    listener.on_trace = [&](std::size_t case_idx, const Trace& trace, bool failed) {
      send_trace(group.bootstrap(), channel, case_idx, trace, failed);
    };
    const std::unique_ptr<RankMachine> machine =
        options_.device.on_device() ? make_cuda_machine(rank % options_.device.num_gpus)
                                    : make_host_machine();
    RankRunner runner(group, *start_line, options_, *machine, listener);
    std::vector<std::vector<nlohmann::json>> by_case;
    for (const CaseSamples& samples : runner.run(plans_)) {
      by_case.push_back(gather_json(group.bootstrap(), to_json(samples)));
    }
    if (rank == 0) {
      channel.send_samples(by_case);
    }
    return true;
  } catch (const std::exception&) {
    channel.send_failure(describe_exception(rank));
    if (start_line != nullptr) {
      start_line->give_up();
    }
    return false;
  }
}

int Launch::run_process_rank(int rank, int output_fd) {
  RankChannel channel(output_fd);
  const std::unique_ptr<StartLine> start_line = make_start_line();
  try {
    if (options_.bind_cores) {
      bind_to_own_cores(rank, num_ranks_);
    }
    TcpBootstrapOptions tcp{
        .rank = rank, .num_ranks = num_ranks_, .port = listener_->port(), .secret = secret_};
    if (rank == 0) {
      tcp.listener_fd = listener_->release();
    } else {
      listener_->close();
    }
    return run_rank(make_tcp_bootstrap(tcp), channel, start_line.get()) ? kExitOk : kExitFailed;
  } catch (const std::exception&) {
    channel.send_failure(describe_exception(rank));
    start_line->give_up();
    return kExitFailed;
  }
}

int Launch::run_all_as_threads(int output_fd) {
  RankChannel channel(output_fd);
  std::vector<std::unique_ptr<Bootstrap>> bootstraps = make_in_process_bootstraps(num_ranks_);
  std::atomic<bool> all_ok{true};
  std::vector<std::thread> ranks;
  for (std::unique_ptr<Bootstrap>& bootstrap : bootstraps) {
    ranks.emplace_back([&, own = std::move(bootstrap)]() mutable {
      const std::unique_ptr<StartLine> start_line = make_start_line();
      if (!run_rank(std::move(own), channel, start_line.get())) {
        all_ok = false;
      }
    });
  }
  for (std::thread& rank : ranks) {
    rank.join();
  }
  return all_ok ? kExitOk : kExitFailed;
}

int Launch::run_launched_rank(int output_fd) {
  RankChannel channel(output_fd);
  try {
    return run_rank(make_tcp_bootstrap(tcp_options_from_env()), channel, nullptr) ? kExitOk
                                                                                  : kExitFailed;
  } catch (const std::exception&) {
    channel.send_failure(describe_exception(-1));
    return kExitFailed;
  }
}

void Launch::add_children(Supervisor& supervisor) {
  switch (options_.ranks_as) {
    case RanksAs::kProcesses:
      secret_ = random_secret();
      listener_.emplace();
      for (int rank = 0; rank < num_ranks_; ++rank) {
        supervisor.add([this, rank](int output_fd) { return run_process_rank(rank, output_fd); });
      }
      return;
    case RanksAs::kThreads:
      supervisor.add([this](int output_fd) { return run_all_as_threads(output_fd); });
      return;
    case RanksAs::kLaunched:
      supervisor.add([this](int output_fd) { return run_launched_rank(output_fd); });
      return;
  }
}

std::string Launch::describe_end(const ChildEnd& end) const {
  const std::string who = options_.ranks_as == RanksAs::kProcesses
                              ? fmt::format("rank {}", end.child_idx)
                              : std::string("the process of the ranks");
  if (end.signal != 0) {
    return fmt::format("{} was killed by signal {} ({})", who, end.signal, ::strsignal(end.signal));
  }
  return fmt::format("{} ended with exit code {} and gave no reason", who, end.exit_code);
}

LaunchResult Launch::judge(const SupervisedRun& run, const RankMessages& messages) const {
  if (run.interrupted_by != 0) {
    return {.exit_code = kExitInterrupted,
            .failure = fmt::format("interrupted ({}); every rank has been ended",
                                   ::strsignal(run.interrupted_by))};
  }
  // A rank that was killed explains what the others report; what we killed ourselves explains
  // nothing.
  const auto killed = std::find_if(run.ends.begin(), run.ends.end(), [](const ChildEnd& end) {
    return end.signal != 0 && !end.ended_by_us;
  });
  if (killed != run.ends.end()) {
    return {.exit_code = kExitFailed, .failure = describe_end(*killed)};
  }
  if (const std::optional<RankFailure> failure = messages.failure()) {
    const std::string message = in_words_of_the_command(failure->message);
    const bool callers_mistake = failure->code == ErrorCode::kInvalidArgument;
    return {.exit_code = callers_mistake ? kExitBadArguments : kExitFailed,
            .failure =
                failure->rank >= 0 ? fmt::format("rank {}: {}", failure->rank, message) : message};
  }
  const auto failed =
      std::find_if(run.ends.begin(), run.ends.end(), [](const ChildEnd& end) { return !end.ok(); });
  if (failed != run.ends.end()) {
    return {.exit_code = kExitFailed, .failure = describe_end(*failed)};
  }
  return {.samples = messages.samples()};
}

LaunchResult Launch::run(const RankMessages::OnProgress& on_progress) {
  Supervisor supervisor(Supervisor::StopPolicy{});
  add_children(supervisor);
  RankMessages messages(on_progress);
  const SupervisedRun run =
      supervisor.run([&](int, const std::string& line) { messages.take(line); });
  LaunchResult result = judge(run, messages);
  result.traces = messages.take_traces();
  return result;
}

}  // namespace

LaunchResult launch(const BenchOptions& options,
                    const std::vector<CasePlan>& plans,
                    const RankMessages::OnProgress& on_progress) {
  return Launch(options, plans).run(on_progress);
}

}  // namespace switchyard::bench
