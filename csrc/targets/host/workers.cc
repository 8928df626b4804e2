#include "csrc/targets/host/workers.h"

#include <algorithm>
#include <utility>

#include "csrc/targets/host/traced_step.h"

namespace switchyard::host {
namespace {

using Clock = std::chrono::steady_clock;
using protocol::Progress;

/// Yields between spinning and sleeping: gives the core to a rank that has work. Too few: a rank
/// sleeps while its peers are about to answer, and is woken late; too many: it burns the core of an
/// idle machine for longer, some 100 us in all.
/// measured: deepseek-v3-train, 1024 tokens, 4 ranks on 2 cores, four runs in turn, 2026-11-24:
///   dispatch's share of its roof with 8 yields 0.85, with 200 yields 0.87
constexpr int kYieldRounds = 200;
/// Longest sleep before another look at peers and deadline. Bells end it sooner.
constexpr std::chrono::microseconds kSleepLimit{20'000};
/// Time counted for one gap between two looks, at most: a process that was stopped or starved for
/// long has not waited long.
constexpr std::chrono::nanoseconds kLongestGap{200'000'000};

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

/// How long one thread has met no progress, and what it does about it.
class Workers::Patience {
 public:
  explicit Patience(const WorkerOptions& options) : options_(&options) {}

  void progressed() {
    rounds_ = 0;
    waited_ = std::chrono::nanoseconds{0};
  }

  /// Looks at what all threads of the slot have done: the progress of one is everybody's.
  void look_at(const Slot& slot) {
    const std::uint64_t advanced = slot.rounds_advanced.load(std::memory_order_relaxed);
    if (advanced != seen_advanced_) {
      seen_advanced_ = advanced;
      waited_ = std::chrono::nanoseconds{0};
    }
  }

  /// Called after a round without progress: pauses or yields, or returns true when it is time to
  /// sleep.
  bool lose_round() {
    if (rounds_ == 0) {
      last_look_ = Clock::now();
    }
    ++rounds_;
    if (rounds_ <= options_->spin_polls) {
      pause_cpu();
      return false;
    }
    if (rounds_ <= options_->spin_polls + kYieldRounds) {
      std::this_thread::yield();
      return false;
    }
    return true;
  }

  /// Counts the time since the last look. True once the deadline has passed.
  bool expired() {
    const auto now = Clock::now();
    waited_ += std::min<std::chrono::nanoseconds>(now - last_look_, kLongestGap);
    last_look_ = now;
    return waited_ >= options_->timeout;
  }

  [[nodiscard]] std::chrono::microseconds sleep_limit() const {
    const auto left =
        std::chrono::duration_cast<std::chrono::microseconds>(options_->timeout - waited_);
    return std::clamp(left, std::chrono::microseconds{100}, kSleepLimit);
  }

 private:
  const WorkerOptions* options_;
  int rounds_ = 0;
  std::chrono::nanoseconds waited_{0};
  Clock::time_point last_look_;
  std::uint64_t seen_advanced_ = 0;
};

Workers::Workers(const WorkerOptions& options)
    : options_(options),
      faults_(options.peers, options.control),
      bell_(reinterpret_cast<protocol::Bell*>(options.peers.local(options.control.bell()))) {
  for (int i = 0; i < options.num_workers; ++i) {
    slots_.push_back(std::make_unique<Slot>());
    Slot& slot = *slots_.back();
    slot.records.resize(static_cast<std::size_t>(options.trace_events));
    slot.ring = {slot.records.data(), slot.records.size(), 0};
  }
  for (auto& slot : slots_) {
    slot->thread = std::thread([this, &slot = *slot] { run_thread(slot); });
  }
}

Workers::~Workers() {
  for (auto& slot : slots_) {
    const std::lock_guard lock(slot->mutex);
    slot->stop = true;
    slot->wake.notify_all();
  }
  bell_.ring();
  for (auto& slot : slots_) {
    slot->thread.join();
  }
}

HostWarp Workers::make_warp() const {
  return HostWarp(options_.peers, options_.control, *options_.arena);
}

std::vector<SlotTrace> Workers::take_traces() {
  std::vector<SlotTrace> traces;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = *slots_[i];
    const std::lock_guard lock(slot.running);
    SlotTrace& trace = traces.emplace_back(SlotTrace{static_cast<int>(i), slot.ring.lost(), {}});
    trace.records.reserve(slot.ring.size());
    for (std::uint64_t at = 0; at < slot.ring.size(); ++at) {
      trace.records.push_back(slot.ring.at(at));
    }
    slot.ring.written = 0;
  }
  return traces;
}

void Workers::submit(const std::shared_ptr<Job>& job, bool background) {
  std::vector<std::vector<Entry>> shares(slots_.size());
  for (auto& placed : job->take_roles()) {
    const std::size_t index = static_cast<std::size_t>(placed.channel) % slots_.size();
    const protocol::RoleTrace trace(placed.role->kind(), placed.channel, job->epoch());
    shares[index].push_back({job, std::move(placed.role), background || index != 0, trace});
  }
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = *slots_[i];
    const std::lock_guard lock(slot.mutex);
    for (Entry& entry : shares[i]) {
      slot.background_entries += entry.background ? 1 : 0;
      slot.inbox.push_back(std::move(entry));
    }
    if (slot.background_entries > 0) {
      slot.wake.notify_one();
    }
  }
  bell_.ring();  // a thread of this rank may be asleep over an earlier operation
}

void Workers::help(const Job& job) {
  HostWarp warp = make_warp();
  Patience patience(options_);
  while (!job.done()) {
    run_or_wait(*slots_[0], warp, patience, &job);
  }
}

void Workers::run_thread(Slot& slot) {
  HostWarp warp = make_warp();
  Patience patience(options_);
  while (await_background_work(slot)) {
    run_or_wait(slot, warp, patience, nullptr);
  }
}

/// One round of a slot, and, where that got nothing done, a little patience: ends early when
/// `awaited` is done.
void Workers::run_or_wait(Slot& slot, HostWarp& warp, Patience& patience, const Job* awaited) {
  if (run_round(slot, warp) == Round::kAdvanced) {
    patience.progressed();
    return;
  }
  if (!patience.lose_round()) {
    return;
  }
  const std::uint32_t ticket = bell_.arm();
  if (awaited != nullptr && awaited->done()) {
    return;
  }
  const Round last_look = run_round(slot, warp);
  patience.look_at(slot);
  if (last_look == Round::kAdvanced || check_waits(slot, warp, patience.expired())) {
    patience.progressed();
    return;
  }
  if (last_look == Round::kBusyElsewhere) {
    std::this_thread::yield();  // nobody looked for this thread: do not sleep on it
    return;
  }
  bell_.sleep(ticket, patience.sleep_limit());
}

/// Sleeps, at no cost, until the slot has something to run. False when the thread should end.
bool Workers::await_background_work(Slot& slot) {
  std::unique_lock lock(slot.mutex);
  slot.wake.wait(lock, [&slot] { return slot.stop || slot.background_entries > 0; });
  return !slot.stop;
}

/// One step of every role of a slot, unless another thread is at it.
Workers::Round Workers::run_round(Slot& slot, HostWarp& warp) {
  const std::unique_lock lock(slot.running, std::try_to_lock);
  if (!lock.owns_lock()) {
    return Round::kBusyElsewhere;
  }
  take_inbox(slot);
  if (faults_.raised()) {
    return drop_all(slot) ? Round::kAdvanced : Round::kBlocked;
  }
  bool advanced = false;
  for (Entry& entry : slot.entries) {
    if (step_entry(entry, slot, warp, advanced)) {
      slot.ended.push_back(std::move(entry));
    }
  }
  std::erase_if(slot.entries, [](const Entry& entry) { return entry.role == nullptr; });
  warp.end_round();
  // Only now: whoever sees a job done must see its streamed rows, too.
  for (const Entry& entry : slot.ended) {
    end_role(entry, slot);
  }
  slot.ended.clear();
  if (advanced) {
    slot.rounds_advanced.fetch_add(1, std::memory_order_relaxed);
  }
  return advanced ? Round::kAdvanced : Round::kBlocked;
}

void Workers::take_inbox(Slot& slot) {
  const std::lock_guard lock(slot.mutex);
  for (Entry& entry : slot.inbox) {
    slot.entries.push_back(std::move(entry));
  }
  slot.inbox.clear();
}

/// Steps one role. True when it is done.
bool Workers::step_entry(Entry& entry, Slot& slot, HostWarp& warp, bool& advanced) {
  Progress progress = Progress::kDone;
  try {
    progress = traced_step(*entry.role, warp, slot.ring, entry.trace);
  } catch (const std::exception&) {
    // A broken invariant: the group cannot go on, and every rank is told so.
    entry.job->set_exception(std::current_exception());
    raise(*entry.role, ErrorCode::kInternal, entry.job->epoch());
    record_drop(entry, slot);
  }
  advanced = advanced || progress != Progress::kBlocked;
  return progress == Progress::kDone;
}

void Workers::record_drop(const Entry& entry, Slot& slot) {
  if (slot.ring.on()) {
    entry.trace.drop(slot.ring, trace_now_ns());
  }
}

void Workers::end_role(const Entry& entry, Slot& slot) {
  if (entry.background) {
    const std::lock_guard lock(slot.mutex);
    --slot.background_entries;
  }
  if (entry.job->end_role()) {
    bell_.ring();  // whoever waits in help() may be asleep
  }
}

/// Ends every role of the slot for a fault of the group. True when there was one.
bool Workers::drop_all(Slot& slot) {
  const bool any = !slot.entries.empty();
  for (Entry& entry : slot.entries) {
    entry.job->set_faulted();
    record_drop(entry, slot);
    end_role(entry, slot);
  }
  slot.entries.clear();
  return any;
}

/// Looks at what the blocked roles wait for: a dead peer, or, once `expired`, whoever keeps this
/// rank waiting, becomes the group's fault. True when the last look before that found progress
/// instead.
bool Workers::check_waits(Slot& slot, HostWarp& warp, bool expired) {
  const std::unique_lock lock(slot.running, std::try_to_lock);
  if (!lock.owns_lock()) {
    return false;
  }
  const Entry* waiting = nullptr;
  for (auto entry = slot.entries.begin(); entry != slot.entries.end(); ++entry) {
    const int peer = entry->role->wait().peer;
    if (peer < 0) {
      continue;
    }
    waiting = waiting == nullptr ? &*entry : waiting;
    const bool dead = options_.is_dead(peer);
    if (!dead && !expired) {
      continue;
    }
    // The peer may have published just before it died or before the clock was read: one more look
    // decides.
    bool advanced = false;
    const bool done = step_entry(*entry, slot, warp, advanced);
    warp.end_round();
    if (done) {
      end_role(*entry, slot);
      slot.entries.erase(entry);
      return true;
    }
    if (advanced) {
      return true;
    }
    if (entry->role->wait().peer == peer) {
      raise(*entry->role, dead ? ErrorCode::kPeerLost : ErrorCode::kTimeout, entry->job->epoch());
    }
    return false;
  }
  if (waiting != nullptr) {
    faults_.note_wait(waiting->job->epoch(), waiting->role->kind(), waiting->role->wait());
  }
  return false;
}

void Workers::raise(const AnyRole& role, ErrorCode cause, std::uint64_t epoch) {
  const Fault fault{cause, options_.peers.rank, role.kind(), role.wait(), epoch};
  faults_.raise(cause == ErrorCode::kTimeout ? faults_.follow(fault) : fault);
}

}  // namespace switchyard::host
