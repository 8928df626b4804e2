// What roles did, as 32-byte records in a ring of plain memory, and how whoever runs a role makes
// records of its steps. Roles themselves say nothing: every step and every wait passes through the
// runner, and the warp counts the rows. Off, it costs the runner one branch for each step.
#pragma once

#include <cstdint>

#include "csrc/protocol/host_device.h"
#include "csrc/protocol/progress.h"
#include "switchyard/trace.h"

namespace switchyard::protocol {

/// Rows that a warp wrote, or read into sums, and their bytes, since it was made: one number, since
/// every row costs one addition. Only differences mean something: 2^24 rows and 2^40 bytes at most.
class MovedRows {
 public:
  SY_HOST_DEVICE void add(std::uint64_t num_rows, std::uint64_t row_bytes) {
    count_ += num_rows * (kOneRow + row_bytes);
  }
  SY_HOST_DEVICE MovedRows since(const MovedRows& before) const {
    MovedRows difference;
    difference.count_ = count_ - before.count_;
    return difference;
  }
  SY_HOST_DEVICE std::uint64_t rows() const { return count_ / kOneRow; }
  SY_HOST_DEVICE std::uint64_t bytes() const { return count_ % kOneRow; }

 private:
  static constexpr std::uint64_t kOneRow = std::uint64_t{1} << 40U;
  std::uint64_t count_ = 0;
};

/// One event. The same bytes on every target, so that one reader serves all.
struct TraceRecord {
  static constexpr std::uint32_t kByteUnit = 16;

  std::uint64_t time_ns;      ///< of the target's clock
  std::uint32_t duration_ns;  ///< of a step; 4.29 s stands for anything longer, too
  std::uint32_t operation;    ///< lower half of its number
  std::uint32_t rows;         ///< of a step
  std::uint32_t bytes;        ///< of those rows, in kByteUnit, rounded up: 64 GiB
  std::int32_t peer;          ///< of a wait, or -1
  TraceKind kind;
  RoleKind role;
  WaitKind wait;
  std::uint8_t channel;
};
static_assert(sizeof(TraceRecord) == 32, "two records a cache line, on every target");

/// Where one runner of roles puts its records: the newest `capacity` are kept. Plain data, written
/// by one thread (or warp) at a time; capacity 0: tracing is off.
struct TraceRing {
  TraceRecord* records = nullptr;
  std::uint64_t capacity = 0;
  std::uint64_t written = 0;  ///< since it was last read, the overwritten ones included

  SY_HOST_DEVICE bool on() const { return capacity != 0; }
  SY_HOST_DEVICE void push(const TraceRecord& record) {
    records[written % capacity] = record;
    ++written;
  }
  SY_HOST_DEVICE std::uint64_t lost() const { return written > capacity ? written - capacity : 0; }
  SY_HOST_DEVICE std::uint64_t size() const { return written - lost(); }
  /// Record `index` of size(), the oldest first.
  SY_HOST_DEVICE const TraceRecord& at(std::uint64_t index) const {
    return records[(lost() + index) % capacity];
  }
};

/// One step as its runner saw it.
struct TracedStep {
  Progress progress = Progress::kBlocked;
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  MovedRows moved{};  ///< by this step
};

/// What has been recorded of one role, so that polls that find nothing new leave no record.
class RoleTrace {
 public:
  SY_HOST_DEVICE RoleTrace(RoleKind role, int channel, std::uint64_t operation)
      : operation_(static_cast<std::uint32_t>(operation)),
        role_(role),
        channel_(static_cast<std::uint8_t>(channel)) {}

  SY_HOST_DEVICE void note(TraceRing& ring, const TracedStep& step, const WaitPoint& wait) {
    if (!began_) {
      began_ = true;
      ring.push(record(TraceKind::kBegan, step.begin_ns));
    }
    if (step.progress != Progress::kBlocked) {
      const bool ended = step.progress == Progress::kDone;
      TraceRecord event = record(ended ? TraceKind::kEnded : TraceKind::kAdvanced, step.begin_ns);
      event.duration_ns = saturated(step.end_ns - step.begin_ns);
      event.rows = saturated(step.moved.rows());
      event.bytes =
          saturated((step.moved.bytes() + TraceRecord::kByteUnit - 1) / TraceRecord::kByteUnit);
      ring.push(event);
      waits_for_ = WaitKind::kNothing;
    } else if (wait.kind != waits_for_ || wait.peer != peer_) {
      waits_for_ = wait.kind;
      peer_ = wait.peer;
      TraceRecord event = record(TraceKind::kBlocked, step.begin_ns);
      event.wait = wait.kind;
      event.peer = wait.peer;
      ring.push(event);
    }
  }

  /// The role will not be stepped again, though it has not ended.
  SY_HOST_DEVICE void drop(TraceRing& ring, std::uint64_t now_ns) const {
    ring.push(record(TraceKind::kDropped, now_ns));
  }

 private:
  SY_HOST_DEVICE static std::uint32_t saturated(std::uint64_t value) {
    return value > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(value);
  }

  SY_HOST_DEVICE TraceRecord record(TraceKind kind, std::uint64_t time_ns) const {
    return {time_ns, 0, operation_, 0, 0, -1, kind, role_, WaitKind::kNothing, channel_};
  }

  std::uint32_t operation_;
  std::int32_t peer_ = -1;
  RoleKind role_;
  std::uint8_t channel_;
  WaitKind waits_for_ = WaitKind::kNothing;
  bool began_ = false;
};

}  // namespace switchyard::protocol
