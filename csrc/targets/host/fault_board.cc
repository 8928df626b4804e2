#include "csrc/targets/host/fault_board.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "csrc/targets/host/bell.h"

namespace switchyard::host {
namespace {

using protocol::ErrorRecord;
using protocol::Word;

constexpr Word kEmpty = 0;
constexpr Word kWriting = 1;
constexpr Word kReadable = 2;
/// How long a reader lets a writer finish; a few stores, unless it was preempted.
constexpr std::chrono::milliseconds kWriterPatience{1000};

void write_record(ErrorRecord& record, const Fault& fault) {
  record.reporter = fault.reporter;
  record.peer = fault.wait.peer;
  record.cause = static_cast<std::uint32_t>(fault.cause);
  record.role = static_cast<std::uint32_t>(fault.role);
  record.channel = fault.wait.channel;
  record.wait = static_cast<std::uint32_t>(fault.wait.kind);
  record.expected = fault.wait.expected;
  record.seen = fault.wait.seen;
  record.epoch = fault.epoch;
}

}  // namespace

ErrorRecord* FaultBoard::record(int rank) const {
  return reinterpret_cast<ErrorRecord*>(peers_.at(rank, control_.error_record()));
}

void FaultBoard::raise(const Fault& fault) const {
  for (int rank = 0; rank < peers_.num_ranks; ++rank) {
    ErrorRecord& target = *record(rank);
    const std::atomic_ref<Word> state(target.state);
    Word expected = kEmpty;
    if (state.compare_exchange_strong(expected, kWriting, std::memory_order_acq_rel)) {
      write_record(target, fault);
      state.store(kReadable, std::memory_order_release);  // pairs with read()
    }
    BellView(reinterpret_cast<protocol::Bell*>(peers_.at(rank, control_.bell()))).ring();
  }
}

bool FaultBoard::raised() const {
  return std::atomic_ref<Word>(record(peers_.rank)->state).load(std::memory_order_acquire) !=
         kEmpty;
}

std::optional<Fault> FaultBoard::read() const {
  const std::atomic_ref<Word> state(record(peers_.rank)->state);
  // Whoever is writing it may have been preempted, or have died half way: then there is nothing to
  // tell.
  const auto limit = std::chrono::steady_clock::now() + kWriterPatience;
  while (state.load(std::memory_order_acquire) == kWriting &&
         std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
  }
  if (state.load(std::memory_order_acquire) != kReadable) {
    return std::nullopt;
  }
  const ErrorRecord& source = *record(peers_.rank);
  Fault fault;
  fault.cause = static_cast<ErrorCode>(source.cause);
  fault.reporter = source.reporter;
  fault.role = static_cast<protocol::RoleKind>(source.role);
  fault.wait = {static_cast<protocol::WaitKind>(source.wait),
                source.peer,
                source.channel,
                source.expected,
                source.seen};
  fault.epoch = source.epoch;
  return fault;
}

}  // namespace switchyard::host
