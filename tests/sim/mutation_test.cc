// What the simulator and the protocol tests notice when the protocol is broken in one place: every
// acquire and release in turn orders nothing, every check of a capacity is off by one, every
// comparison of epochs is left out. Prints who noticed what, and after how many runs.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/cli/program.h"
#include "tests/support/campaigns.h"
#include "tests/support/seeds.h"

namespace switchyard::test {
namespace {

/// A mutant that changes nothing, and why.
struct Harmless {
  std::string_view name;
  std::string_view why;
};

constexpr std::string_view kReadLate =
    "what it orders is read by the caller alone, after Job::end_role of every role";
/// By function and ordering, since lines move.
constexpr std::string_view kCleared =
    "who is cleared to send reads nothing that others wrote for it; the flag alone counts";
constexpr std::string_view kAnswered =
    "a flag that says no more than itself, set before the release that fails the operation";
constexpr std::array<Harmless, 11> kHarmlessSites{{
    {"release in fail_operation", kReadLate},
    {"acquire in operation_failed", "a role that leaves reads nothing more"},
    {"release in fail_corrupt (corrupt)", kReadLate},
    {"release in fail_corrupt (failed)", kReadLate},
    {"release in CombineAnnounce::collect (cleared)", kCleared},
    {"acquire in ScaleOutSend::await_clearance", kCleared},
    {"release in CountExchange::post_answers", kAnswered},
    {"acquire in NodeRelay::will_not_come", kAnswered},
    {"release in NodeRelay::end_hellos", "the hellos that it relayed before order the same"},
    {"acquire in post_arrived",
     "the words behind it carry tags of their own, and arrive at once here"},
    {"acquire in RingTurn::is_mine", "credits order what the operations do with a track"},
}};

constexpr std::array<Harmless, 4> kHarmlessChecks{{
    {"counts: -1 rows", "read as unsigned, it is more than all tokens: the next check"},
    {"counts: -1 tokens of an expert", "read as unsigned, the sum is beyond 2^31: another check"},
    {"answer: -1 rows", "no base is at most -1 minus a count: another check"},
    {"a run of metadata ends one row early", "runs may have any length; this one costs time"},
}};

const Harmless* find_harmless(const Harmless* begin, const Harmless* end, std::string_view name) {
  const auto* found =
      std::find_if(begin, end, [&](const Harmless& each) { return each.name == name; });
  return found == end ? nullptr : found;
}

const char* ordering_name(sim::Ordering ordering) {
  switch (ordering) {
    case sim::Ordering::kAcquire:
      return "acquire";
    case sim::Ordering::kRelease:
      return "release";
    case sim::Ordering::kAddRelease:
      return "add release";
  }
  return "";
}

/// "release in fail_operation", with "(corrupt)" or "(failed)" where a function has two.
std::map<std::string, std::string> describe(const sim::SiteLog& log) {
  std::map<std::string, std::string> names;
  std::map<std::string, int> seen;
  for (const auto& [site, use] : log.uses()) {
    std::string name = fmt::format("{} in {}", ordering_name(use.ordering), use.function);
    if (use.function.ends_with("fail_corrupt")) {
      name += seen[use.function]++ == 0 ? " (corrupt)" : " (failed)";
    }
    if (use.function.ends_with("CombineAnnounce::collect") &&
        use.ordering == sim::Ordering::kRelease) {
      name += seen[use.function]++ == 0 ? " (placed)" : " (cleared)";
    }
    names[site] = name;
  }
  return names;
}

TEST(Mutation, EveryAcquireAndReleaseIsNoticedWhenItOrdersNothing) {
  if (kSanitized) {
    GTEST_SKIP() << "hunted in the builds without a sanitizer";
  }
  sim::SiteLog log;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    for (const Campaign& campaign : campaigns()) {
      ASSERT_TRUE(sim::simulate(campaign.options, seed, &log).ok);
    }
  }
  std::uint64_t most_runs = 0;
  const auto names = describe(log);
  for (const auto& [site, name] : names) {
    const Harmless* harmless = find_harmless(kHarmlessSites.begin(), kHarmlessSites.end(), name);
    if (harmless != nullptr) {
      fmt::print("  {:28} {:50} harmless: {}\n", site, name, harmless->why);
      continue;
    }
    const Kill kill = hunt(site);
    EXPECT_FALSE(kill.killer.empty()) << name << " at " << site << " survived";
    fmt::print("  {:28} {:50} run {}, {}: {}\n",
               site,
               name,
               kill.runs,
               kill.killer,
               kill.how.substr(0, 90));
    most_runs = std::max(most_runs, kill.runs);
  }
  fmt::print("  {} sites, each noticed within {} runs or harmless\n", names.size(), most_runs);
  // As many as there are calls in the text, or the table does not speak of all.
  EXPECT_EQ(names.size(), 40U) << "acquires and releases of csrc/protocol that runs come to";
}

#if defined(SY_MUTANTS_PATH)

struct Mutant {
  std::string_view header;
  std::string_view name;
};
constexpr Mutant kMutants[] = {
#include "mutants/names.inc"
};

/// What killed the mutant, as tests/mutants/main.cc says it; empty when nothing did.
std::string hunt_mutant(std::size_t index) {
  const bench::ProgramResult result =
      bench::run_program({SY_MUTANTS_PATH, fmt::format("--mutant={}", index)}, "");
  if (result.signal != 0) {
    return fmt::format("killed by the system: signal {}", result.signal);
  }
  const std::size_t at = result.output.rfind("killed by ");
  return at == std::string::npos ? "" : result.output.substr(at, result.output.find('\n', at) - at);
}

TEST(Mutation, EveryCheckOfACapacityOrAnEpochIsNoticedWhenItIsOffByOneOrLeftOut) {
  EXPECT_EQ(hunt_mutant(std::size(kMutants)), "") << "no mutant, and yet something fails";
  for (std::size_t i = 0; i < std::size(kMutants); ++i) {
    const Mutant& mutant = kMutants[i];
    const Harmless* harmless =
        find_harmless(kHarmlessChecks.begin(), kHarmlessChecks.end(), mutant.name);
    const std::string killer = hunt_mutant(i);
    EXPECT_EQ(killer.empty(), harmless != nullptr) << mutant.name;
    fmt::print(
        "  {:20} {:58} {}\n",
        mutant.header,
        mutant.name,
        harmless == nullptr ? killer.substr(0, 130) : fmt::format("harmless: {}", harmless->why));
  }
}

#endif

}  // namespace
}  // namespace switchyard::test
