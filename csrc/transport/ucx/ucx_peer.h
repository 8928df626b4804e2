// One peer over UCX: the endpoint, what is under way to it, and the flushes by which signals wait
// for puts. docs/transports.md, "ucx", has the argument.
#pragma once

#include <ucp/api/ucp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/transport/tables.h"
#include "csrc/transport/ucx/ucx_worker.h"

namespace switchyard::transport {

struct UcxTrack : TrackEnds {
  ucp_rkey_h rkey = nullptr;
  ucp_mem_h memory = nullptr;
  std::uint64_t put_bytes = 0;        ///< all that were put
  std::uint64_t flushing_bytes = 0;   ///< of these, those that the running flush covers
  std::uint64_t completed_bytes = 0;  ///< and those that the last finished one covered
};

/// Signals on their way, oldest first, in three parts: *sent* (until a flush says that they have
/// arrived), *covered* (sent when the running flush is over), *waiting* (for the next flush).
class UcxSignals {
 public:
  struct Entry {
    ucp_rkey_h rkey = nullptr;
    std::uint64_t address = 0;  ///< of the counter, in the peer's process
    std::uint64_t value = 0;    ///< UCX reads it from here until it has arrived
  };

  /// Merges into a waiting signal of the same counter, else appends. False when there is no room.
  bool add(ucp_rkey_h rkey, std::uint64_t address, std::uint64_t value);
  /// A flush starts: what waits is covered by it.
  void cover() { covered_end_ = end_; }
  /// That flush is over: what was sent has arrived; calls `send` for what was covered.
  template <class Send>
  void release(const Send& send) {
    begin_ = sent_end_;
    for (; sent_end_ != covered_end_; ++sent_end_) {
      send(at(sent_end_));
    }
  }
  [[nodiscard]] bool is_empty() const { return begin_ == end_; }
  void clear() { begin_ = sent_end_ = covered_end_ = end_; }

 private:
  /// Signals of different counters under way to one peer. derived: a chunk's tail for each of 32
  /// channels, credits back for the same, four flushes deep. Too small pushes back, no more.
  static constexpr std::uint64_t kCapacity = 256;

  Entry& at(std::uint64_t count) { return entries_[count % kCapacity]; }

  std::array<Entry, kCapacity> entries_;
  std::uint64_t begin_ = 0;
  std::uint64_t sent_end_ = 0;
  std::uint64_t covered_end_ = 0;
  std::uint64_t end_ = 0;
};

class UcxPeer {
 public:
  UcxPeer(int rank, std::vector<std::byte> address) : rank_(rank), address_(std::move(address)) {}
  UcxPeer(const UcxPeer&) = delete;
  UcxPeer& operator=(const UcxPeer&) = delete;

  /// The endpoint, made at the first call: a rank connects only to whom it writes.
  ucp_ep_h connect(const UcxWorker& worker);
  /// Starts to close the endpoint, without asking the peer. The result is to be waited for, unless
  /// it is null.
  ucs_status_ptr_t close();
  void lose(const std::string& what);

  void add_track(UcxTrack* track) { tracks_.push_back(track); }
  void remove_track(const UcxTrack* track);

  Posted put(UcxTrack& track, const Put& put);
  Posted signal(UcxTrack& track, const Signal& signal);
  /// Ends a flush that is over, and starts the next when something waits for it.
  void advance();

  [[nodiscard]] std::uint64_t in_flight_bytes() const { return in_flight_bytes_; }
  /// Whether everything has arrived, or never will.
  [[nodiscard]] bool is_quiet() const { return is_lost() || (!must_flush_ && flush_ == nullptr); }
  [[nodiscard]] bool is_lost() const { return !why_lost_.empty(); }
  [[nodiscard]] const std::string& why_lost() const { return why_lost_; }

 private:
  static void on_error(void* peer, ucp_ep_h endpoint, ucs_status_t status);
  /// Posts one RMA write; false when that shows that the peer is lost.
  bool write(const void* from,
             std::uint64_t bytes,
             std::uint64_t address,
             ucp_rkey_h rkey,
             ucp_mem_h memory);
  void start_flush();
  void finish_flush();

  int rank_;
  std::vector<std::byte> address_;
  ucp_ep_h endpoint_ = nullptr;
  bool reports_death_ = true;  // the endpoint was made so
  std::vector<UcxTrack*> tracks_;
  UcxSignals signals_;
  ucs_status_ptr_t flush_ = nullptr;  // the running flush
  bool must_flush_ = false;           // something was posted that no flush covers
  int num_puts_ = 0;                  // under way; of these the running flush covers
  int num_flushing_puts_ = 0;
  std::uint64_t in_flight_bytes_ = 0;
  std::string why_lost_;
};

}  // namespace switchyard::transport
