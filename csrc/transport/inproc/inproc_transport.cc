#include <fmt/format.h>

#include <atomic>
#include <cstring>
#include <utility>

#include "csrc/memory/process_identity.h"
#include "csrc/memory/share_from_rank0.h"
#include "csrc/transport/inproc/inproc.h"
#include "csrc/transport/inproc/switchboard.h"
#include "csrc/transport/region_key.h"
#include "csrc/transport/tables.h"
#include "switchyard/error.h"

namespace switchyard::transport {
namespace {

struct OwnRegion {
  std::span<std::byte> memory;
  std::uint64_t id = 0;
};

struct AttachedRegion {
  int peer = -1;
  std::shared_ptr<PublishedRegion> region;
};

struct Track : TrackEnds {
  const PublishedRegion* target = nullptr;  // held by the attached region
  std::uint64_t put_bytes = 0;
};

class InprocTransport final : public Transport {
 public:
  InprocTransport(std::shared_ptr<Switchboard> board, int rank, int num_ranks, std::uint64_t group)
      : board_(std::move(board)),
        rank_(rank),
        group_(group),
        why_lost_(static_cast<std::size_t>(num_ranks)) {}
  ~InprocTransport() override { board_->withdraw_all(rank_); }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int num_ranks() const override { return static_cast<int>(why_lost_.size()); }
  [[nodiscard]] std::string describe() const override {
    return "inproc: copies between threads of one process";
  }

  int register_region(std::span<std::byte> memory) override {
    check_memory(memory);
    return regions_.add({memory, board_->publish(rank_, memory)});
  }
  [[nodiscard]] std::vector<std::byte> region_key(int region_idx) const override {
    const OwnRegion& own = regions_.at(region_idx);
    return pack_key(key_owner(rank_),
                    {.region = {.base = reinterpret_cast<std::uintptr_t>(own.memory.data()),
                                .bytes = own.memory.size(),
                                .id = own.id},
                     .details = {}});
  }
  void deregister_region(int region_idx) override {
    regions_.check_unused(region_idx);
    board_->withdraw(rank_, regions_.at(region_idx).id);
    regions_.remove(region_idx);
  }

  int attach_region(int peer, std::span<const std::byte> key) override {
    check_peer(peer, num_ranks());
    const KeyedRegion keyed = unpack_key(key_owner(peer), key).region;
    auto region = board_->find(peer, keyed.id);
    if (region == nullptr) {
      throw InvalidArgument(fmt::format(
          "region key: rank {} has no region {}; it was deregistered, or the rank has left",
          peer,
          keyed.id));
    }
    return attached_.add({peer, std::move(region)});
  }
  void detach_region(int attached_idx) override { attached_.remove(attached_idx); }

  int open_track(const TrackRequest& request) override;
  void close_track(int track) override {
    const TrackRequest request = tracks_.at(track).request;
    tracks_.remove(track);
    regions_.remove_user(request.region_idx);
    attached_.remove_user(request.attached_idx);
  }

  Posted put(int track, const Put& put) override {
    Track& ends = tracks_.at(track);
    ends.check(put);
    const bool done = visit(ends, [&] {
      std::memcpy(
          ends.target->base + put.remote_offset, ends.local_base + put.local_offset, put.bytes);
    });
    if (!done) {
      return Posted::kPeerLost;
    }
    ends.put_bytes += put.bytes;
    return Posted::kPosted;
  }
  Posted signal(int track, const Signal& signal) override {
    Track& ends = tracks_.at(track);
    ends.check(signal);
    const bool done = visit(ends, [&] {
      auto* counter = reinterpret_cast<std::uint64_t*>(ends.target->base + signal.counter_offset);
      // Publishes every earlier copy of this thread; pairs with the acquire of whoever waits for
      // the counter.
      std::atomic_ref<std::uint64_t>(*counter).store(signal.value, std::memory_order_release);
    });
    return done ? Posted::kPosted : Posted::kPeerLost;
  }
  void poll() override {}

  [[nodiscard]] std::uint64_t completed_bytes(int track) const override {
    return tracks_.at(track).put_bytes;
  }
  [[nodiscard]] std::uint64_t in_flight_bytes(int peer) const override {
    check_peer(peer, num_ranks());
    return 0;
  }
  [[nodiscard]] bool is_quiet() const override { return true; }
  [[nodiscard]] const std::string& why_lost(int peer) const override {
    check_peer(peer, num_ranks());
    return why_lost_[static_cast<std::size_t>(peer)];
  }

 private:
  [[nodiscard]] KeyOwner key_owner(int rank) const {
    return {.kind = TransportKind::kInproc, .rank = rank, .group = group_};
  }

  /// Whether the peer is well and `copy` was done.
  template <class Copy>
  bool visit(const Track& track, const Copy& copy) {
    std::string& why_lost = why_lost_[static_cast<std::size_t>(track.request.peer)];
    if (!why_lost.empty()) {
      return false;
    }
    if (!board_->visit(rank_, track.request.peer, *track.target, copy)) {
      why_lost = fmt::format(
          "rank {} took back a region that rank {} puts into: it has left, or deregistered the "
          "region too early",
          track.request.peer,
          rank_);
      return false;
    }
    return true;
  }

  std::shared_ptr<Switchboard> board_;
  int rank_;
  std::uint64_t group_;
  Slots<OwnRegion> regions_{"region"};
  Slots<AttachedRegion> attached_{"attached region"};
  Slots<Track> tracks_{"track"};
  std::vector<std::string> why_lost_;  // by rank
};

int InprocTransport::open_track(const TrackRequest& request) {
  check_peer(request.peer, num_ranks());
  const OwnRegion& own = regions_.at(request.region_idx);
  const AttachedRegion& attached = attached_.at(request.attached_idx);
  check_owner(request, attached.peer);
  Track track;
  track.set(request,
            own.memory,
            reinterpret_cast<std::uintptr_t>(attached.region->base),
            attached.region->bytes);
  track.target = attached.region.get();
  regions_.add_user(request.region_idx);
  attached_.add_user(request.attached_idx);
  return tracks_.add(track);
}

}  // namespace

std::unique_ptr<Transport> make_inproc_transport(Bootstrap& bootstrap) {
  const auto processes = bootstrap::gather_values(bootstrap, memory::this_process());
  for (std::size_t rank = 1; rank < processes.size(); ++rank) {
    if (processes[rank] != processes[0]) {
      throw InvalidArgument(
          fmt::format("transport inproc: rank {} is process {}, rank 0 is process {}, wanted "
                      "threads of one process; use ucx or verbs between processes",
                      rank,
                      processes[rank].pid,
                      processes[0].pid));
    }
  }
  const std::uint64_t group = agree_on_group(bootstrap);
  auto board = memory::share_from_rank0<Switchboard>(
      bootstrap, [&] { return std::make_shared<Switchboard>(bootstrap.num_ranks()); });
  return std::make_unique<InprocTransport>(
      std::move(board), bootstrap.rank(), bootstrap.num_ranks(), group);
}

}  // namespace switchyard::transport
