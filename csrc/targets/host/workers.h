// The threads of one rank that run roles, and the one place of the host target that waits: spin,
// yield, then sleep on the rank's bell; with a deadline, a look at the peers' health and at the
// group's fault board.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "csrc/memory/arena.h"
#include "csrc/protocol/trace.h"
#include "csrc/targets/host/bell.h"
#include "csrc/targets/host/fault_board.h"
#include "csrc/targets/host/host_warp.h"
#include "csrc/targets/host/job.h"

namespace switchyard::host {

struct WorkerOptions {
  protocol::Peers peers;
  protocol::ControlLayout control;
  memory::Arena* arena = nullptr;
  std::function<bool(int rank)> is_dead;  ///< whether a peer's process has ended
  int num_workers = 1;
  int spin_polls = 0;    ///< rounds without progress before yielding
  int trace_events = 0;  ///< kept for each worker; 0: none
  std::chrono::nanoseconds timeout{};
};

/// What one slot recorded since the last look, the oldest first.
struct SlotTrace {
  int slot = 0;
  std::uint64_t lost = 0;
  std::vector<protocol::TraceRecord> records;
};

/// Roles are spread over num_workers slots by channel; a slot is run by its background thread or by
/// a caller that waits.
class Workers {
 public:
  explicit Workers(const WorkerOptions& options);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  /// Stops the threads; jobs that are not done stay so.
  ~Workers();

  /// Starts a job. Without `background`, slot 0 waits for a caller of help(); other slots always
  /// have their threads.
  void submit(const std::shared_ptr<Job>& job, bool background);

  /// Runs roles of slot 0 on the calling thread until the job is done. Never throws; the job says
  /// how it ended.
  void help(const Job& job);

  [[nodiscard]] const FaultBoard& faults() const { return faults_; }

  /// The instruction set for a thread that is not a worker (the finishing caller).
  [[nodiscard]] HostWarp make_warp() const;

  /// Takes what every slot has recorded; waits for the round that a slot is at.
  std::vector<SlotTrace> take_traces();

 private:
  struct Entry {
    std::shared_ptr<Job> job;
    std::unique_ptr<AnyRole> role;
    bool background;
    protocol::RoleTrace trace;
  };
  /// A slot's roles, and what was submitted since the last round. Two locks, since whoever submits
  /// must not wait for a round to end.
  struct Slot {
    std::mutex running;  ///< held during a round; guards the lists and the ring
    std::vector<Entry> entries;
    std::vector<Entry> ended;  ///< in the round at hand
    std::vector<protocol::TraceRecord> records;
    protocol::TraceRing ring;  ///< over `records`

    std::mutex mutex;  ///< guards the rest; never held for long
    std::condition_variable wake;
    std::vector<Entry> inbox;
    int background_entries = 0;  ///< of both lists
    bool stop = false;

    std::atomic<std::uint64_t> rounds_advanced{0};  ///< by whichever thread
    std::thread thread;
  };
  enum class Round : std::uint8_t { kAdvanced, kBlocked, kBusyElsewhere };
  class Patience;

  void run_thread(Slot& slot);
  void run_or_wait(Slot& slot, HostWarp& warp, Patience& patience, const Job* awaited);
  bool await_background_work(Slot& slot);
  Round run_round(Slot& slot, HostWarp& warp);
  bool step_entry(Entry& entry, Slot& slot, HostWarp& warp, bool& advanced);
  void take_inbox(Slot& slot);
  bool drop_all(Slot& slot);
  static void record_drop(const Entry& entry, Slot& slot);
  void end_role(const Entry& entry, Slot& slot);
  bool check_waits(Slot& slot, HostWarp& warp, bool expired);
  void raise(const AnyRole& role, ErrorCode cause, std::uint64_t epoch);

  WorkerOptions options_;
  FaultBoard faults_;
  BellView bell_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace switchyard::host
