// One reliable connection to a peer: writes go out in order, and what has completed is known by the
// numbers of those that were asked to say so.
#pragma once

#include <infiniband/verbs.h>

#include <array>
#include <cstdint>

#include "csrc/transport/tables.h"
#include "csrc/transport/verbs/verbs_port.h"

namespace switchyard::transport {

class VerbsQueue;

struct VerbsTrack : TrackEnds {
  std::uint32_t local_key = 0;
  std::uint32_t remote_key = 0;
  VerbsQueue* queue = nullptr;
  std::uint64_t completed_bytes = 0;
};

class VerbsQueue {
 public:
  /// Writes under way. derived: 64 chunks with their signals; more than a window of bytes lets
  /// through.
  static constexpr std::uint64_t kDepth = 128;

  /// `position` comes back with completions: which queue of the transport it is.
  VerbsQueue(const VerbsPort& port, ibv_cq* completions, int position);
  VerbsQueue(const VerbsQueue&) = delete;
  VerbsQueue& operator=(const VerbsQueue&) = delete;

  /// What the peer connects to.
  [[nodiscard]] std::uint32_t number() const { return pair_->qp_num; }
  [[nodiscard]] const ibv_qp* pair() const { return pair_.get(); }
  /// Errors: SystemError
  void connect(const VerbsPort& port, const PortAddress& peer, std::uint32_t number);

  /// Whether `num_writes` more fit; one place is kept for close_batch().
  [[nodiscard]] bool has_room(std::uint64_t num_writes) const {
    return posted_ - completed_ + num_writes < kDepth;
  }
  /// Posts part of a put. Returns errno, 0 on success.
  int post_bytes(VerbsTrack& track, const Put& put);
  /// Posts the write of a counter, out of the request itself, so that nothing has to stay.
  int post_counter(const VerbsTrack& track, const Signal& signal);
  /// Asks for news of writes that were posted without, unless more have been posted since the last
  /// call: without it the last writes of a burst would never be known to be complete. Returns
  /// errno.
  int close_batch();

  /// Everything up to the write of this number has been carried out. Returns the bytes of it.
  std::uint64_t complete(std::uint64_t write);
  [[nodiscard]] bool is_quiet() const { return posted_ == completed_; }

  // A work request's id names the queue and the write.
  static int position_of(std::uint64_t id) { return static_cast<int>(id >> kWriteBits); }
  static std::uint64_t write_of(std::uint64_t id) { return id & kWriteMask; }

 private:
  static constexpr int kWriteBits = 44;
  static constexpr std::uint64_t kWriteMask = (std::uint64_t{1} << kWriteBits) - 1;
  /// Every so many writes one asks for news: completions are read in batches, and room is given
  /// back long before the queue is full.
  static constexpr std::uint64_t kNewsEvery = 16;
  static_assert(4 * kNewsEvery <= kDepth);

  struct Write {
    VerbsTrack* track = nullptr;  ///< null for what moves no bytes of a track
    std::uint64_t bytes = 0;
  };
  int post(ibv_send_wr& request, const Write& write, bool asks);

  VerbsQueuePair pair_;
  int position_;
  std::array<Write, kDepth> writes_;
  std::uint64_t posted_ = 0;
  std::uint64_t completed_ = 0;
  std::uint64_t num_silent_ = 0;       // posted since the last that asks for news
  std::uint64_t posted_at_close_ = 0;  // posted_ at the last close_batch()
};

}  // namespace switchyard::transport
