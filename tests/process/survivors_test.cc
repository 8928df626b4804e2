// A long life of one group: ranks are killed or stopped at random moments of dispatch and combine,
// the others say whom they lost and where, go on without it, and take a new process in its place.
// Every row and sum is verified all the time, and nobody's descriptors or mappings grow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "switchyard/switchyard.h"
#include "tests/support/fault_message.h"
#include "tests/support/footprint.h"
#include "tests/support/loopback.h"
#include "tests/support/masked_case.h"
#include "tests/support/moe_group.h"
#include "tests/support/process.h"
#include "tests/support/shared_value.h"

namespace switchyard {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kWorld = 4;
constexpr milliseconds kTimeout{1500};
constexpr Layout kLayouts[] = {Layout::kRankMajor, Layout::kExpertMajor, Layout::kPadded};

#if defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 20;
constexpr bool kCountsMemory = false;  // processes look for leaks as they end (support/process.cc)
#else
constexpr int kRounds = 100;
constexpr bool kCountsMemory = true;
#endif

std::int64_t now_ns() {
  return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
}

/// What the test and its ranks tell each other.
struct Board {
  std::atomic<std::uint64_t> wanted_generation{0};  ///< all ranks of the world shall meet there
  std::atomic<bool> wants_end{false};
  std::atomic<int> victim{-1};
  /// The exchange before which all leave the generation; set by its first member.
  std::atomic<std::uint64_t> leave_at{0};

  struct Rank {
    std::atomic<std::uint64_t> generation{0};
    std::atomic<std::uint64_t> exchanges{0};  ///< verified ones of that generation
    std::atomic<std::int64_t> usable_ns{0};   ///< when the first of them was done
    std::atomic<std::int64_t> noticed_ns{0};  ///< when it caught the last fault
    std::array<char, 160> fault{};            ///< what that said; before the next generation
  };
  std::array<Rank, kWorld> ranks;
};

/// Arenas of malloc and stacks of threads come and go; what leaks does so in every generation.
constexpr std::ptrdiff_t kMappingsThatVary = 12;
/// What malloc keeps for its threads counts as given.
constexpr std::ptrdiff_t kBytesThatVary = std::ptrdiff_t{48} << 10U;
/// Rounds in which anybody may be lost; from then on the last rank is spared, so that what each
/// group leaves behind adds up in one process.
constexpr int kRoundsForAll = kRounds * 3 / 10;

/// One rank from its first group to its end.
class RankLife {
 public:
  RankLife(Board& board, int world_rank, std::uint16_t port, std::uint64_t generation)
      : board_(board), rank_(world_rank), port_(port), generation_(generation) {}

  void run() {
    while (live_one_generation()) {
    }
  }

 private:
  /// False at the end of this rank's life.
  bool live_one_generation() {
    Regrouped met;
    try {
      met = regroup(regroup_options());
    } catch (const BootstrapError& error) {
      // Only a rank that was stopped and left behind may meet nobody.
      EXPECT_EQ(board_.victim.load(), rank_) << error.what();
      EXPECT_THAT(error.what(), ::testing::HasSubstr("taken for lost"));
      return false;
    }
    const Membership membership = met.membership;
    Group group(std::move(met.bootstrap), {.membership = membership});
    Config config = test::test_config();
    config.timeout = kTimeout;
    auto buffer = std::make_shared<Buffer>(group, config);
    failed_.reset();
    check_footprint(group);
    Board::Rank& mine = board_.ranks[static_cast<std::size_t>(rank_)];
    mine.exchanges.store(0);
    mine.generation.store(generation_);
    try {
      return exchange_until_wanted(group, *buffer, membership);
    } catch (const PeerLost& error) {
      note_loss(group, error.rank(), error.what());
    } catch (const Timeout& error) {
      note_loss(group, error.rank(), error.what());
    }
    failed_ = std::move(buffer);
    ++generation_;
    return true;
  }

  RegroupOptions regroup_options() {
    RegroupOptions options;
    options.tcp.rank = rank_;
    options.tcp.num_ranks = kWorld;
    options.tcp.port = port_;
    options.tcp.secret = "the secret of the job";
    options.tcp.timeout = std::chrono::seconds(60);
    options.generation = generation_;
    if (failed_ != nullptr) {
      options.lost_ranks = [this] { return failed_->lost_ranks(); };
    }
    return options;
  }

  /// True when another generation is to follow.
  bool exchange_until_wanted(Group& group, Buffer& buffer, const Membership& membership) {
    std::vector<test::MaskedCase> cases;
    for (const Layout layout : kLayouts) {
      cases.emplace_back(test::small_world(kWorld, layout), membership, group.rank());
    }
    Board::Rank& mine = board_.ranks[static_cast<std::size_t>(rank_)];
    for (std::uint64_t count = 1;; ++count) {
      if (board_.leave_at.load() == leave_ticket(count)) {
        generation_ = board_.wanted_generation.load();
        return !board_.wants_end.load();
      }
      const bool leave = board_.wanted_generation.load() > generation_ || board_.wants_end.load();
      if (group.rank() == 0 && leave) {
        // Nobody gets past this exchange before this rank issues it, so all see it before the next.
        board_.leave_at.store(leave_ticket(count + 1));
      }
      test::exchange(buffer, cases[count % cases.size()]);
      if (count == 1) {
        mine.usable_ns.store(now_ns());
      }
      mine.exchanges.store(count);
    }
  }

  [[nodiscard]] std::uint64_t leave_ticket(std::uint64_t count) const {
    return (generation_ << 40U) + count;
  }

  /// The fault must name the victim, and a step that it can have owed: what it had verified was
  /// behind it, and nobody gets further than one dispatch ahead of what it had not.
  void note_loss(const Group& group, int named, const std::string& message) {
    Board::Rank& mine = board_.ranks[static_cast<std::size_t>(rank_)];
    mine.noticed_ns.store(now_ns());
    const int victim = board_.victim.load();
    EXPECT_EQ(group.world_rank(named), victim) << message;
    const auto said = test::FaultMessage::read(message);
    ASSERT_TRUE(said) << message;
    EXPECT_EQ(said->peer, named) << message;
    EXPECT_NE(said->reporter, named) << message;
    const int exchange = (said->operation + 1) / 2;
    const bool is_dispatch = said->operation % 2 == 1;
    const Layout layout = kLayouts[static_cast<std::size_t>(exchange) % std::size(kLayouts)];
    EXPECT_TRUE(is_dispatch ? said->is_step_of_dispatch(layout) : said->is_step_of_combine())
        << message;
    const auto verified =
        static_cast<int>(board_.ranks[static_cast<std::size_t>(victim)].exchanges.load());
    EXPECT_GT(said->operation, 2 * verified) << message;
    EXPECT_LE(said->operation, 2 * (verified + 1) + 1) << message;
    const std::string text = said->text();
    mine.fault.fill('\0');
    std::copy_n(text.begin(), std::min(text.size(), mine.fault.size() - 1), mine.fault.begin());
  }

  void check_footprint(const Group& group) {
    const test::Footprint footprint = test::Footprint::now();
    // The first member holds the connections of all others.
    const auto [at, is_new] =
        footprints_.try_emplace({group.num_ranks(), group.rank() == 0}, footprint);
    const test::Footprint& first = at->second;
    if (is_new) {
      return;
    }
    EXPECT_EQ(footprint.descriptors, first.descriptors);
    EXPECT_EQ(footprint.heap_mappings, first.heap_mappings);
    if (kCountsMemory) {
      EXPECT_LE(footprint.mappings, first.mappings + kMappingsThatVary);
      EXPECT_LE(footprint.allocated, first.allocated + kBytesThatVary);
    }
  }

  Board& board_;
  int rank_;
  std::uint16_t port_;
  std::uint64_t generation_;
  std::shared_ptr<Buffer> failed_;  // whom it lost, until the others are met
  std::map<std::pair<int, bool>, test::Footprint>
      footprints_;  // by members, and whether it is the first
};

/// From the signal, in nanoseconds, to the last survivor.
struct Times {
  std::int64_t noticed_ns = 0;
  std::int64_t usable_ns = 0;  ///< its first verified exchange without the victim
};

/// The test's side: ranks as processes, and what they are put through.
class World {
 public:
  World() {
    for (int rank = 0; rank < kWorld; ++rank) {
      start(rank, generation_);
    }
    await_generation(all_but(-1));
  }

  /// Kills or stops one rank at some moment, waits for the others to go on, and replaces it.
  Times lose_and_replace(int victim, int signal, std::chrono::microseconds delay) {
    std::this_thread::sleep_for(delay);
    board_->victim.store(victim);
    const std::int64_t signalled_ns = now_ns();
    processes_.signal(index_of_[static_cast<std::size_t>(victim)], signal);
    ++generation_;
    await_generation(all_but(victim));
    const Times times = times_since(signalled_ns, victim);
    if (signal == SIGSTOP) {
      // It wakes, finds itself left behind, and ends by itself.
      processes_.signal(index_of_[static_cast<std::size_t>(victim)], SIGCONT);
      await_end(processes_.pid(index_of_[static_cast<std::size_t>(victim)]));
    }
    ++generation_;
    board_->wanted_generation.store(generation_);
    start(victim, generation_);
    await_generation(all_but(-1));
    return times;
  }

  std::vector<test::ProcessExit> end() {
    board_->wants_end.store(true);
    return processes_.wait(std::chrono::seconds(120));
  }

 private:
  static std::vector<int> all_but(int victim) {
    std::vector<int> ranks;
    for (int rank = 0; rank < kWorld; ++rank) {
      if (rank != victim) {
        ranks.push_back(rank);
      }
    }
    return ranks;
  }

  /// Also holds what the survivors said against each other.
  Times times_since(std::int64_t signalled_ns, int victim) {
    Times times;
    std::set<std::string> faults;
    for (const int rank : all_but(victim)) {
      const Board::Rank& each = board_->ranks[static_cast<std::size_t>(rank)];
      times.noticed_ns = std::max(times.noticed_ns, each.noticed_ns.load() - signalled_ns);
      times.usable_ns = std::max(times.usable_ns, each.usable_ns.load() - signalled_ns);
      faults.insert(each.fault.data());
    }
    EXPECT_EQ(faults.size(), 1U) << ::testing::PrintToString(faults);
    return times;
  }

  void start(int rank, std::uint64_t generation) {
    index_of_[static_cast<std::size_t>(rank)] = num_started_++;
    processes_.start(
        [this, rank, generation] { RankLife(*board_, rank, port_, generation).run(); });
  }

  /// Waits, within reason, until each of the ranks has verified exchanges in this generation.
  void await_generation(const std::vector<int>& ranks) {
    await([&] {
      return std::ranges::all_of(ranks, [&](int rank) {
        const Board::Rank& each = board_->ranks[static_cast<std::size_t>(rank)];
        return each.generation.load() == generation_ && each.exchanges.load() >= 3;
      });
    });
  }

  /// A process that has ended but was not waited for is a zombie.
  void await_end(pid_t pid) {
    await([pid] {
      std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
      std::string text;
      std::getline(status, text);
      return text.find(") Z") != std::string::npos;
    });
  }

  static void await(const std::function<bool()>& satisfied) {
    const auto limit = Clock::now() + std::chrono::seconds(100);
    while (!satisfied()) {
      if (Clock::now() > limit) {
        throw std::runtime_error("the ranks did not get there within 100 s");
      }
      std::this_thread::sleep_for(milliseconds(1));
    }
  }

  std::uint16_t port_ = test::LoopbackListener().port;
  test::SharedValue<Board> board_;
  test::Processes processes_;
  std::array<int, kWorld> index_of_{};
  int num_started_ = 0;
  std::uint64_t generation_ = 1;
};

std::int64_t median(std::vector<std::int64_t> times_ns) {
  std::sort(times_ns.begin(), times_ns.end());
  return times_ns[times_ns.size() / 2];
}

/// Median and largest, in milliseconds.
std::string describe(const std::vector<std::int64_t>& times_ns) {
  std::array<char, 96> text{};
  std::snprintf(text.data(),
                text.size(),
                "median %.1f ms, longest %.1f ms of %zu",
                static_cast<double>(median(times_ns)) / 1e6,
                static_cast<double>(*std::ranges::max_element(times_ns)) / 1e6,
                times_ns.size());
  return text.data();
}

TEST(Survivors, GoOnWithoutALostRankAndTakeANewOneInItsPlace) {
  std::mt19937 random(17);
  std::vector<std::int64_t> killed_ns;
  std::vector<std::int64_t> stopped_ns;
  const test::Footprint before = test::Footprint::now();
  auto world = std::make_unique<World>();
  constexpr std::int64_t kTimeoutNs = std::chrono::nanoseconds(kTimeout).count();
  for (int round = 0; round < kRounds; ++round) {
    const int victim = static_cast<int>(random() % (round < kRoundsForAll ? kWorld : kWorld - 1));
    const bool stop = round % 10 == 9;
    const auto delay = std::chrono::microseconds(random() % 4000);
    const Times times = world->lose_and_replace(victim, stop ? SIGSTOP : SIGKILL, delay);
    (stop ? stopped_ns : killed_ns).push_back(times.usable_ns);
    // A stopped rank may be found over two others, which takes its time for each.
    EXPECT_LT(times.noticed_ns, 2 * kTimeoutNs) << "after signal " << (stop ? SIGSTOP : SIGKILL);
  }
  const auto exits = world->end();
  world.reset();
  EXPECT_EQ(test::entries_in_shared_memory(), 0);
  EXPECT_EQ(test::Footprint::now().descriptors, before.descriptors);
  const auto num_killed = std::ranges::count_if(
      exits, [](const test::ProcessExit& each) { return each.signal == SIGKILL; });
  EXPECT_EQ(static_cast<std::size_t>(num_killed), killed_ns.size());
  EXPECT_EQ(std::ranges::count(exits, test::kSuccess),
            static_cast<std::ptrdiff_t>(kWorld + stopped_ns.size()));
  EXPECT_LT(median(killed_ns), kTimeoutNs) << "deaths are noticed, not waited out";
  EXPECT_LT(median(stopped_ns), 3 * kTimeoutNs) << "the deadline, then a new group";
  std::printf("from kill to usable group: %s\n", describe(killed_ns).c_str());
  std::printf("from stop to usable group: %s, of it the %lld ms of Config::timeout\n",
              describe(stopped_ns).c_str(),
              static_cast<long long>(kTimeout.count()));
}

}  // namespace
}  // namespace switchyard
