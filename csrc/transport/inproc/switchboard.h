// What the ranks of an in-process transport share: who is here, which regions are open, and who
// is copying into whose memory at this moment.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace switchyard::transport {

/// A region that its owner may close while peers still hold it.
struct PublishedRegion {
  std::byte* base = nullptr;
  std::uint64_t bytes = 0;
  std::atomic<bool> is_open{true};
};

class Switchboard {
 public:
  explicit Switchboard(int num_ranks) : visits_(static_cast<std::size_t>(num_ranks)) {}

  // Set-up: under a lock.

  std::uint64_t publish(int rank, std::span<std::byte> memory);
  /// Null when `rank` has no open region of that number.
  [[nodiscard]] std::shared_ptr<PublishedRegion> find(int rank, std::uint64_t id);
  /// Closes the region; when it returns, nobody copies into it.
  void withdraw(int rank, std::uint64_t id);
  /// The same for all regions of a rank that leaves.
  void withdraw_all(int rank);

  // The path: without one.

  /// Runs `copy` unless the region is closed; returns whether it ran. `visitor` is the caller's
  /// rank, `owner` that of the region.
  template <class Copy>
  bool visit(int visitor, int owner, const PublishedRegion& region, const Copy& copy) {
    std::atomic<int>& visiting = visits_[static_cast<std::size_t>(visitor)].owner;
    // The one of the two sides that comes second sees the other (both seq_cst): either the visitor
    // finds the region closed, or withdraw() finds the visitor and waits for it.
    visiting.store(owner, std::memory_order_seq_cst);
    const bool is_open = region.is_open.load(std::memory_order_seq_cst);
    if (is_open) {
      copy();
    }
    // Pairs with the acquire in wait_for_visitors: the copy is over when its owner frees the
    // memory.
    visiting.store(kNobody, std::memory_order_release);
    return is_open;
  }

 private:
  static constexpr int kNobody = -1;

  /// Alone on its line: each rank writes its own with every put.
  struct alignas(64) Visit {
    std::atomic<int> owner{kNobody};  ///< whose memory this rank is copying into
  };

  /// Returns when every copy into memory of `owner` that had begun is over. A copy waits for
  /// nothing, so this ends.
  void wait_for_visitors(int owner);

  std::mutex mutex_;  // guards the two below
  std::map<std::pair<int, std::uint64_t>, std::shared_ptr<PublishedRegion>> regions_;
  std::uint64_t num_published_ = 0;
  std::vector<Visit> visits_;
};

}  // namespace switchyard::transport
