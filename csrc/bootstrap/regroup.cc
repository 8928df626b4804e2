#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <thread>

#include "csrc/bootstrap/contract.h"
#include "csrc/bootstrap/deadline.h"
#include "csrc/bootstrap/tcp_rendezvous.h"
#include "switchyard/error.h"
#include "switchyard/membership.h"

namespace switchyard {
namespace {

/// Limit of each step of one attempt. Members that know of the same losses meet in milliseconds;
/// one that waits for a rank that has died meanwhile should look again soon. Too short: large
/// groups never meet. measured: 512 ranks as threads on 2 cores regroup in 0.09 s, 2026-11-24: a
/// fourth.
constexpr std::chrono::milliseconds kAttempt{400};
/// Between attempts, some of which fail at once (the port is still taken): keeps a rank from trying
/// without a rest. derived: a fortieth of an attempt, so that little of one is missed.
constexpr std::chrono::milliseconds kPause{10};
static_assert(40 * kPause <= kAttempt);

std::vector<int> members_without(const std::vector<int>& lost, int world_ranks) {
  std::vector<int> members;
  for (int rank = 0; rank < world_ranks; ++rank) {
    if (std::find(lost.begin(), lost.end(), rank) == lost.end()) {
      members.push_back(rank);
    }
  }
  return members;
}

/// Whoever knows of other losses, or comes from another generation, proves another secret.
std::string secret_of(const RegroupOptions& options, const std::vector<int>& members) {
  std::string text =
      fmt::format("{}|generation {}|members", options.tcp.secret, options.generation);
  for (const int member : members) {
    text += fmt::format(" {}", member);
  }
  return text;
}

/// The rendezvous of `members`, this rank among them.
std::unique_ptr<Bootstrap> attempt(const RegroupOptions& options,
                                   const std::vector<int>& members,
                                   const bootstrap::Deadline& deadline) {
  const auto place = std::find(members.begin(), members.end(), options.tcp.rank);
  TcpBootstrapOptions store = options.tcp;
  store.rank = static_cast<int>(place - members.begin());
  store.num_ranks = static_cast<int>(members.size());
  store.secret = secret_of(options, members);
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline.end() - bootstrap::Deadline::Clock::now());
  return bootstrap::join_tcp_store(store, std::clamp(left, std::chrono::milliseconds{1}, kAttempt));
}

/// The attempts' own options hide what the caller's lack: their secret is never empty, and they
/// take no listener, since whichever member is the lowest listens.
void check_world(const RegroupOptions& options) {
  if (options.tcp.listener_fd >= 0) {
    throw InvalidArgument(fmt::format(
        "listener_fd: got {}, wanted -1; regroup() listens itself, at host and port, on whichever "
        "member is the lowest",
        options.tcp.listener_fd));
  }
  bootstrap::check_tcp_options(options.tcp);
}

/// What an attempt says names ranks by their places among `members`.
std::string describe_attempt(const std::vector<int>& members,
                             int world_ranks,
                             const std::string& problem) {
  std::vector<int> places(members.size());
  std::iota(places.begin(), places.end(), 0);
  const std::string as =
      members.size() == static_cast<std::size_t>(world_ranks)
          ? ""
          : fmt::format(" of the world, here as {}", bootstrap::describe_ranks(places));
  return fmt::format("meeting {}{}: {}", bootstrap::describe_ranks(members), as, problem);
}

}  // namespace

Regrouped regroup(const RegroupOptions& options) {
  check_world(options);
  const bootstrap::Deadline deadline(options.tcp.timeout);
  std::string problem;
  do {
    std::vector<int> lost;
    if (options.lost_ranks) {
      lost = options.lost_ranks();
    }
    if (std::find(lost.begin(), lost.end(), options.tcp.rank) != lost.end()) {
      throw BootstrapError(fmt::format(
          "regroup: rank {} itself is taken for lost by its group, which goes on without "
          "it; it may come back at a later generation",
          options.tcp.rank));
    }
    std::vector<int> members = members_without(lost, options.tcp.num_ranks);
    try {
      auto store = attempt(options, members, deadline);
      return {std::move(store), {options.tcp.num_ranks, std::move(members)}};
    } catch (const BootstrapError& error) {
      problem = describe_attempt(members, options.tcp.num_ranks, error.what());
    }
    std::this_thread::sleep_for(kPause);
  } while (!deadline.passed());
  throw BootstrapError(
      fmt::format("regroup: no group came together at generation {} within {} ms; last: {}",
                  options.generation,
                  options.tcp.timeout.count(),
                  problem));
}

}  // namespace switchyard
