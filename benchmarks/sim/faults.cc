#include "benchmarks/sim/faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <random>

#include "benchmarks/sim/probabilities.h"
#include "csrc/protocol/packet.h"
#include "switchyard/error.h"

namespace switchyard::sim {
namespace {

constexpr std::array<NamedProbability<FaultOptions>, 11> kFaults{
    {{"delay", &FaultOptions::delay, 0.2},
     {"reorder", &FaultOptions::reorder, 0.9},
     {"slow", &FaultOptions::slow, 0.2},
     {"dead", &FaultOptions::dead, 0.15},
     {"stopped", &FaultOptions::stopped, 0.15},
     {"aborts", &FaultOptions::aborts, 0.1},
     {"flip", &FaultOptions::flip, 0.1},
     {"tight", &FaultOptions::tight, 0.15},
     {"wrap", &FaultOptions::wrap, 0.2},
     {"lost", &FaultOptions::lost, 0.1},
     {"twice", &FaultOptions::twice, 0.2}}};

/// Of messages between nodes, in a run that loses some, or in which some arrive twice.
constexpr double kLostShare = 0.01;
constexpr double kTwiceShare = 0.2;

/// As FaultPlan::Loss has them, from its second on.
constexpr std::array<std::string_view, 3> kLosses{"dead", "stopped", "aborts"};

ProbabilityList<FaultOptions> fault_list() {
  return {"faults", kFaults};
}

/// Numbers from which a few operations lead over a wrap.
std::uint64_t draw_first_epoch(std::mt19937_64& random, int max_in_flight) {
  const std::uint64_t slots = 2 * static_cast<std::uint64_t>(max_in_flight);
  const std::uint64_t num_tags = (std::uint64_t{1} << 32U) / slots * slots - slots;
  const std::uint64_t wraps[] = {num_tags, std::uint64_t{1} << 32U, std::uint64_t{1} << 63U};
  return wraps[random() % 3] - random() % 8;
}

}  // namespace

FaultOptions FaultOptions::parse(std::string_view text) {
  return fault_list().parse(text);
}

std::string FaultOptions::describe() const {
  return fault_list().describe(*this);
}

std::string FaultPlan::describe() const {
  std::string text;
  text += delayed ? "  stores stay invisible for long\n" : "";
  text += in_order ? "  stores become visible in order\n" : "";
  text += slow_rank >= 0 ? fmt::format("  rank {} is slow\n", slow_rank) : "";
  const char* losses[] = {"", "dies", "stops", "aborts"};
  text += victim >= 0 ? fmt::format("  rank {} {} after {} turns\n",
                                    victim,
                                    losses[static_cast<std::size_t>(loss)],
                                    loss_at)
                      : "";
  text += flips ? fmt::format("  bit {} of {} {} is flipped\n",
                              flip_bit,
                              flip_in == StoredAs::kWord       ? "word"
                              : flip_in == StoredAs::kMetadata ? "metadata"
                                                               : "note",
                              flip_at)
                : "";
  text += lose > 0 ? "  messages between nodes are lost\n" : "";
  text += duplicate > 0 ? "  messages between nodes arrive twice\n" : "";
  text += heap_bytes != 0 ? fmt::format("  heaps of {} bytes\n", heap_bytes) : "";
  text += first_epoch != 1 ? fmt::format("  operations from number {:#x}\n", first_epoch) : "";
  return text.empty() ? text : "faults:\n" + text;
}

FaultPlan draw_faults(const FaultOptions& options, const ExchangePlan& plan, std::uint64_t seed) {
  std::mt19937_64 random(seed ^ 0x5eed'0f'fa0175U);
  const auto happens = [&](double probability) {
    return static_cast<double>(random() >> 11U) * 0x1p-53 < probability;
  };
  const auto any_rank = [&] {
    return static_cast<int>(random() % static_cast<std::uint64_t>(plan.num_ranks));
  };
  FaultPlan faults;
  faults.delayed = happens(options.delay);
  faults.in_order = !happens(options.reorder);
  faults.slow_rank = happens(options.slow) ? any_rank() : -1;
  const double losses[] = {options.dead, options.stopped, options.aborts};
  for (std::size_t i = 0; i < std::size(losses); ++i) {
    if (faults.loss == FaultPlan::Loss::kNone && happens(losses[i])) {
      faults.loss = static_cast<FaultPlan::Loss>(i + 1);
      faults.victim = any_rank();
      // Few turns as often as many: an operation has some 10 to 100.
      faults.loss_at = random() % (std::uint64_t{1} << (random() % 10));
    }
  }
  faults.flips = happens(options.flip);
  // An operation has some 100 words, and a piece of metadata for each row or few of them.
  faults.flip_in = random() % 3 == 0 ? StoredAs::kMetadata : StoredAs::kWord;
  const std::uint64_t digits = faults.flip_in == StoredAs::kMetadata ? 6 : 11;
  faults.flip_at = random() % (std::uint64_t{1} << (random() % digits));
  faults.flip_bit = static_cast<std::uint32_t>(random() % (1U << 16U));
  if (happens(options.tight)) {
    faults.heap_bytes = 4096 * (2 + random() % 24);  // beside the control block
  }
  faults.first_epoch = happens(options.wrap) ? draw_first_epoch(random, plan.max_in_flight) : 1;
  if (plan.num_nodes > 1) {
    faults.lose = happens(options.lost) ? kLostShare : 0;
    faults.duplicate = happens(options.twice) ? kTwiceShare : 0;
    if (random() % 3 == 0) {
      faults.flip_in = StoredAs::kNote;
      faults.flip_at = random() % 2;
    }
  }
  return faults;
}

ChosenLoss ChosenLoss::parse(std::string_view text) {
  const std::size_t first = text.find(':');
  const std::size_t second = text.find(':', first == std::string_view::npos ? first : first + 1);
  const auto name = std::find(kLosses.begin(), kLosses.end(), text.substr(0, first));
  ChosenLoss chosen;
  const auto read = [](std::string_view number, auto& value) {
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    return error == std::errc{} && end == number.data() + number.size();
  };
  if (second == std::string_view::npos || name == kLosses.end() ||
      !read(text.substr(first + 1, second - first - 1), chosen.victim) || chosen.victim < 0 ||
      !read(text.substr(second + 1), chosen.at)) {
    throw InvalidArgument(fmt::format(
        "lose: got '{}', wanted dead:RANK:TURN, stopped:RANK:TURN or aborts:RANK:TURN", text));
  }
  chosen.loss = static_cast<FaultPlan::Loss>(name - kLosses.begin() + 1);
  return chosen;
}

std::string ChosenLoss::describe() const {
  return fmt::format("{}:{}:{}", kLosses[static_cast<std::size_t>(loss) - 1], victim, at);
}

bool BitFlip::on_visible(int writer, std::byte* to, std::size_t bytes, StoredAs stored_as) {
  if (hit_ || stored_as != in_ || left_-- != 0) {
    return false;
  }
  hit_ = {writer, to};
  const std::size_t bit = bit_ % (8 * bytes);
  to[bit / 8] ^= std::byte{1} << (bit % 8);
  return true;
}

}  // namespace switchyard::sim
