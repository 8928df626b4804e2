#include "csrc/targets/host/fault_board.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "csrc/targets/host/bell.h"

namespace switchyard::host {
namespace {

using protocol::ErrorRecord;
using protocol::Word;

using targets::kFaultNone;
using targets::kFaultReadable;
using targets::kFaultWriting;

/// How long a reader lets a writer finish; a few stores, unless it was preempted.
constexpr std::chrono::milliseconds kWriterPatience{1000};
/// Between two looks at whether another rank looks. derived: more than two sleeps of a waiting
/// thread (kSleepLimit in workers.cc, 20 ms).
constexpr std::chrono::milliseconds kLookTwice{50};

}  // namespace

ErrorRecord* FaultBoard::record(int rank) const {
  return reinterpret_cast<ErrorRecord*>(peers_.at(rank, control_.error_record()));
}

protocol::WaitBoard* FaultBoard::waits(int rank) const {
  return reinterpret_cast<protocol::WaitBoard*>(peers_.at(rank, control_.wait_board()));
}

void FaultBoard::raise(const Fault& fault) const {
  // Two ranks may raise at once: whoever writes rank 0's record first speaks for both.
  Fault of_group = fault;
  for (int rank = 0; rank < peers_.num_ranks; ++rank) {
    ErrorRecord& target = *record(rank);
    const std::atomic_ref<Word> state(target.state);
    Word expected = kFaultNone;
    if (state.compare_exchange_strong(expected, kFaultWriting, std::memory_order_acq_rel)) {
      targets::write_record(target, of_group);
      state.store(kFaultReadable, std::memory_order_release);  // pairs with read()
    } else if (rank == 0) {
      of_group = read(0).value_or(fault);
    }
    BellView(reinterpret_cast<protocol::Bell*>(peers_.at(rank, control_.bell()))).ring();
  }
}

void FaultBoard::note_wait(std::uint64_t epoch,
                           protocol::RoleKind role,
                           const protocol::WaitPoint& wait) const {
  protocol::WaitBoard& board = *waits(peers_.rank);
  const Word blocked = protocol::make_wait(epoch, wait, role);
  // Each word stands for itself: relaxed.
  std::atomic_ref<Word>(board.blocked).store(blocked, std::memory_order_relaxed);
  std::atomic_ref<Word>(board.looks).fetch_add(1, std::memory_order_relaxed);
}

/// Lets kLookTwice pass and looks itself all the while: another rank may be following the wait to
/// here.
void FaultBoard::look_on() const {
  constexpr int kLooks = 10;
  for (int i = 0; i < kLooks; ++i) {
    std::this_thread::sleep_for(kLookTwice / kLooks);
    std::atomic_ref<Word>(waits(peers_.rank)->looks).fetch_add(1, std::memory_order_relaxed);
  }
}

Fault FaultBoard::follow(const Fault& first) const {
  return targets::follow_waits(first, peers_.num_ranks, [this](int rank) {
    protocol::WaitBoard& board = *waits(rank);
    const std::atomic_ref<Word> looks(board.looks);
    const Word before = looks.load(std::memory_order_relaxed);
    look_on();
    const Word blocked = std::atomic_ref<Word>(board.blocked).load(std::memory_order_relaxed);
    return looks.load(std::memory_order_relaxed) != before ? blocked : Word{0};
  });
}

bool FaultBoard::raised() const {
  return std::atomic_ref<Word>(record(peers_.rank)->state).load(std::memory_order_acquire) !=
         kFaultNone;
}

std::optional<Fault> FaultBoard::read() const {
  return read(peers_.rank);
}

std::optional<Fault> FaultBoard::read(int rank) const {
  const std::atomic_ref<Word> state(record(rank)->state);
  // Whoever is writing it may have been preempted, or have died half way: then there is nothing to
  // tell.
  const auto limit = std::chrono::steady_clock::now() + kWriterPatience;
  while (state.load(std::memory_order_acquire) == kFaultWriting &&
         std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
  }
  if (state.load(std::memory_order_acquire) != kFaultReadable) {
    return std::nullopt;
  }
  return targets::read_record(*record(rank));
}

}  // namespace switchyard::host
