#include "benchmarks/sim/track_run.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <random>
#include <span>

#include "benchmarks/sim/probabilities.h"
#include "csrc/protocol/progress.h"
#include "csrc/targets/sim/sim_warp.h"

namespace switchyard::sim {
namespace {

using protocol::Progress;
using protocol::Word;

constexpr std::size_t kTraceLines = 40;
/// Turns without a change after which nothing more will come.
constexpr int kPatience = 200;
constexpr std::size_t kSlotBytes = 16;
constexpr std::uint32_t kNumChunks = 12;
/// Counters only grow, and must not care where they are.
constexpr Word kFirst = (Word{1} << 63U) - 5;

/// Both ends of a track. Memory of rank 1: the slots and the tail; of rank 0: staging and the head.
struct Ends {
  std::array<protocol::Peers, 2> heaps;  ///< by rank, each a node
  std::uint64_t slots;                   ///< heap offsets from here on
  std::uint64_t staging;
  std::uint64_t tail;
  std::uint64_t head;
  std::uint32_t capacity;

  [[nodiscard]] Word* tail_word() const { return reinterpret_cast<Word*>(heaps[1].local(tail)); }
  [[nodiscard]] Word* head_word() const { return reinterpret_cast<Word*>(heaps[0].local(head)); }
};

class Producer {
 public:
  explicit Producer(const Ends& ends) : ends_(ends) {}

  Progress step(SimWarp& warp) {
    if (sent_ == kNumChunks) {
      return Progress::kDone;
    }
    // Pairs with the consumer's signal: the slot, and the staging behind it, may be used again.
    const Word head = warp.load_acquire(ends_.head_word());
    if (kFirst + sent_ - head >= ends_.capacity) {
      return Progress::kBlocked;
    }
    const std::size_t at = sent_ % ends_.capacity * kSlotBytes;
    const std::array<std::uint32_t, 4> words{sent_, ~sent_, sent_ * 3, 7};
    warp.store_words(ends_.heaps[0].local(ends_.staging + at), words.data(), 4);
    if (!warp.put(
            {1, 0},
            {ends_.staging + at, ends_.slots + at, kSlotBytes, ends_.tail, kFirst + sent_ + 1})) {
      throw ModelViolation("a way to the network without bounds is full");
    }
    ++sent_;
    return Progress::kAdvanced;
  }

 private:
  Ends ends_;
  std::uint32_t sent_ = 0;
};

class Consumer {
 public:
  explicit Consumer(const Ends& ends) : ends_(ends) {}

  Progress step(SimWarp& warp) {
    if (taken_ == kNumChunks) {
      return Progress::kDone;
    }
    // Pairs with the producer's signal: the chunk is there.
    const Word tail = warp.load_acquire(ends_.tail_word());
    if (tail == kFirst + taken_) {
      return Progress::kBlocked;
    }
    const auto* words = reinterpret_cast<const std::uint32_t*>(
        ends_.heaps[1].local(ends_.slots + taken_ % ends_.capacity * kSlotBytes));
    if (warp.load_word(words) != taken_ || warp.load_word(words + 1) != ~taken_) {
      throw ModelViolation("chunk " + std::to_string(taken_) + " is not what was sent");
    }
    if (!warp.signal({0, 0}, ends_.head, kFirst + taken_ + 1)) {
      throw ModelViolation("a way to the network without bounds is full");
    }
    ++taken_;
    return Progress::kAdvanced;
  }

 private:
  Ends ends_;
  std::uint32_t taken_ = 0;
};

constexpr std::array<NamedProbability<NetworkOptions>, 4> kNetwork{
    {{"lose", &NetworkOptions::lose},
     {"duplicate", &NetworkOptions::duplicate},
     {"signals-pass-puts", &NetworkOptions::signals_pass_puts},
     {"takes-duplicates", &NetworkOptions::takes_duplicates}}};

ProbabilityList<NetworkOptions> network_list() {
  return {"network", kNetwork};
}

/// Both ends, their memory, and what is between them.
class TrackWorld {
 public:
  TrackWorld(const TrackOptions& options, std::uint64_t seed)
      : memory_(heaps_, seed),
        network_(memory_, seed, options.network),
        random_(seed),
        ends_(make_ends(options)),
        producer_(ends_),
        consumer_(ends_) {
    *ends_.tail_word() = *ends_.head_word() = kFirst;
    for (SimWarp& warp : warps_) {
      warp.attach(network_);
    }
  }

  /// Throws ModelViolation where the consumer reads what was not sent, or nothing explains why it
  /// got no further.
  TrackEnd run(std::uint64_t& num_steps) {
    for (int idle = 0; idle < kPatience && !(done_[0] && done_[1]); ++num_steps) {
      idle = act() ? 0 : idle + 1;
    }
    if (!done_[1] && network_.num_lost() == 0) {
      throw ModelViolation("the consumer is stuck, though nothing was lost");
    }
    return done_[1] ? TrackEnd::kRight : TrackEnd::kStopped;
  }

  [[nodiscard]] std::string trace_text() const { return memory_.trace_text(kTraceLines); }

 private:
  Ends make_ends(const TrackOptions& options) {
    return {{heaps_.peers(0), heaps_.peers(1)},
            heaps_.allocate(1, 4096),
            heaps_.allocate(0, 4096),
            heaps_.control().progress(0, 0, 0),
            heaps_.control().progress(0, 1, 0),
            static_cast<std::uint32_t>(options.num_slots)};
  }

  bool act() {
    switch (random_() % 4) {
      case 0:
        return network_.deliver_one();
      case 1:
        return memory_.publish_one(static_cast<int>(random_() % 2));
      default: {
        const auto rank = random_() % 2;
        const Progress progress = rank == 0 ? producer_.step(warps_[0]) : consumer_.step(warps_[1]);
        done_[rank] = progress == Progress::kDone;
        return progress == Progress::kAdvanced;
      }
    }
  }

  Heaps heaps_{{2, 1, 2, 1, 2, 0}, 1U << 16U};
  WeakMemory memory_;
  Network network_;
  std::mt19937_64 random_;
  std::array<SimWarp, 2> warps_{SimWarp(memory_, 0, "producer"), SimWarp(memory_, 1, "consumer")};
  Ends ends_;
  Producer producer_;
  Consumer consumer_;
  bool done_[2] = {false, false};
};

}  // namespace

NetworkOptions TrackOptions::parse_network(std::string_view text) {
  return network_list().parse(text);
}

std::string TrackOptions::command_line(std::uint64_t seed) const {
  const std::string faults = network_list().describe(network);
  return fmt::format("switchyard sim --track {} --seed {} --runs 1{}{}",
                     num_slots,
                     seed,
                     faults.empty() ? "" : " --network ",
                     faults);
}

TrackReport run_track(const TrackOptions& options, std::uint64_t seed) {
  TrackReport report;
  TrackWorld world(options, seed);
  try {
    report.end = world.run(report.num_steps);
  } catch (const ModelViolation& violation) {
    report.end = TrackEnd::kWrong;
    report.problem = fmt::format("{}\nlast operations:\n{}replay: {}\n",
                                 violation.what(),
                                 world.trace_text(),
                                 options.command_line(seed));
  }
  return report;
}

}  // namespace switchyard::sim
