#include <fmt/format.h>
#include <ucp/api/ucp.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "csrc/bootstrap/deadline.h"
#include "csrc/bootstrap/together.h"
#include "csrc/memory/peer_watch.h"
#include "csrc/transport/region_key.h"
#include "csrc/transport/tables.h"
#include "csrc/transport/ucx/ucx.h"
#include "csrc/transport/ucx/ucx_peer.h"
#include "csrc/transport/ucx/ucx_worker.h"

namespace switchyard::transport {
namespace {

/// A worker's address names each of its devices; hundreds of bytes each.
constexpr std::uint64_t kMaxAddressBytes = 1 << 20;
/// One system call for each peer, so not at every poll. derived: polls take some 100 ns, so a death
/// shows within milliseconds.
constexpr std::uint64_t kPollsPerLook = 4096;
/// Closing asks nobody; this bounds what is left of a network that misbehaves.
constexpr std::chrono::milliseconds kCloseTimeout{5000};

struct OwnRegion {
  std::span<std::byte> memory;
  UcxMemory known;
};

struct DestroyRkey {
  void operator()(ucp_rkey_h rkey) const { ucp_rkey_destroy(rkey); }
};

struct AttachedRegion {
  int peer = -1;
  KeyedRegion region;
  std::unique_ptr<std::remove_pointer_t<ucp_rkey_h>, DestroyRkey> rkey;
};

class UcxTransport final : public Transport {
 public:
  UcxTransport(Bootstrap& bootstrap, const UcxOptions& options)
      : rank_(bootstrap.rank()), worker_(options) {}
  /// Learns how to reach every peer. Collective, where the constructor is not: a rank that cannot
  /// open its devices must be able to say so to the others first.
  void meet(Bootstrap& bootstrap);
  ~UcxTransport() override;

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int num_ranks() const override { return static_cast<int>(peers_.size()); }
  [[nodiscard]] std::string describe() const override { return worker_.description(); }

  int register_region(std::span<std::byte> memory) override {
    check_memory(memory);
    return regions_.add({memory, UcxMemory(worker_.context(), memory)});
  }
  [[nodiscard]] std::vector<std::byte> region_key(int region_idx) const override {
    const OwnRegion& own = regions_.at(region_idx);
    return pack_key(key_owner(rank_),
                    {.region = {.base = reinterpret_cast<std::uintptr_t>(own.memory.data()),
                                .bytes = own.memory.size(),
                                .id = static_cast<std::uint64_t>(region_idx)},
                     .details = own.known.packed_rkey()});
  }
  void deregister_region(int region_idx) override { regions_.remove(region_idx); }

  int attach_region(int peer, std::span<const std::byte> key) override;
  void detach_region(int attached_idx) override { attached_.remove(attached_idx); }
  int open_track(const TrackRequest& request) override;
  void close_track(int track) override;

  Posted put(int track, const Put& put) override {
    UcxTrack& ends = *tracks_.at(track);
    ends.check(put);
    return peer_at(ends.request.peer).put(ends, put);
  }
  Posted signal(int track, const Signal& signal) override {
    UcxTrack& ends = *tracks_.at(track);
    ends.check(signal);
    return peer_at(ends.request.peer).signal(ends, signal);
  }
  void poll() override {
    worker_.progress();
    for (UcxPeer* peer : connected_) {
      peer->advance();
    }
    if (watch_ != nullptr && ++num_polls_ % kPollsPerLook == 0) {
      look_after_peers();
    }
  }

  [[nodiscard]] std::uint64_t completed_bytes(int track) const override {
    return tracks_.at(track)->completed_bytes;
  }
  [[nodiscard]] std::uint64_t in_flight_bytes(int peer) const override {
    check_peer(peer, num_ranks());
    return peers_[static_cast<std::size_t>(peer)].in_flight_bytes();
  }
  [[nodiscard]] bool is_quiet() const override {
    return std::all_of(
        connected_.begin(), connected_.end(), [](const UcxPeer* peer) { return peer->is_quiet(); });
  }
  [[nodiscard]] const std::string& why_lost(int peer) const override {
    check_peer(peer, num_ranks());
    return peers_[static_cast<std::size_t>(peer)].why_lost();
  }

 private:
  [[nodiscard]] KeyOwner key_owner(int rank) const {
    return {.kind = TransportKind::kUcx, .rank = rank, .group = group_};
  }
  [[nodiscard]] UcxPeer& peer_at(int rank) { return peers_[static_cast<std::size_t>(rank)]; }

  void look_after_peers();

  int rank_;
  std::uint64_t group_ = 0;
  UcxWorker worker_;
  std::deque<UcxPeer> peers_;  // by rank; UCX holds their addresses
  std::vector<UcxPeer*> connected_;
  std::unique_ptr<memory::PeerWatch> watch_;  // where UCX does not tell of dead peers
  std::uint64_t num_polls_ = 0;
  Slots<OwnRegion> regions_{"region"};
  Slots<AttachedRegion> attached_{"attached region"};
  Slots<std::unique_ptr<UcxTrack>> tracks_{"track"};
};

void UcxTransport::meet(Bootstrap& bootstrap) {
  group_ = agree_on_group(bootstrap);
  auto addresses = gather_bytes(bootstrap, worker_.address(), kMaxAddressBytes);
  for (std::size_t rank = 0; rank < addresses.size(); ++rank) {
    peers_.emplace_back(static_cast<int>(rank), std::move(addresses[rank]));
  }
  if (!worker_.reports_dead_peers()) {
    watch_ = std::make_unique<memory::PeerWatch>(bootstrap);
  }
}

void UcxTransport::look_after_peers() {
  for (int peer = 0; peer < num_ranks(); ++peer) {
    if (watch_->is_dead(peer)) {
      peer_at(peer).lose("its process has ended");
    }
  }
}

UcxTransport::~UcxTransport() {
  attached_.for_each([](AttachedRegion& region) { region.rkey.reset(); });
  const bootstrap::Deadline deadline(kCloseTimeout);
  for (UcxPeer& peer : peers_) {
    auto* const closing = peer.close();
    if (!UCS_PTR_IS_PTR(closing)) {
      continue;
    }
    while (ucp_request_check_status(closing) == UCS_INPROGRESS && !deadline.passed()) {
      worker_.progress();
    }
    ucp_request_free(closing);
  }
}

int UcxTransport::attach_region(int peer, std::span<const std::byte> key) {
  check_peer(peer, num_ranks());
  const RegionKey unpacked = unpack_key(key_owner(peer), key);
  UcxPeer& owner = peer_at(peer);
  ucp_ep_h endpoint = owner.connect(worker_);
  if (std::find(connected_.begin(), connected_.end(), &owner) == connected_.end()) {
    connected_.push_back(&owner);
  }
  ucp_rkey_h rkey = nullptr;
  check_ucx(ucp_ep_rkey_unpack(endpoint, unpacked.details.data(), &rkey),
            fmt::format("attaching a region of rank {}", peer));
  AttachedRegion attached{.peer = peer, .region = unpacked.region, .rkey = nullptr};
  attached.rkey.reset(rkey);
  return attached_.add(std::move(attached));
}

int UcxTransport::open_track(const TrackRequest& request) {
  check_peer(request.peer, num_ranks());
  const OwnRegion& own = regions_.at(request.region_idx);
  const AttachedRegion& attached = attached_.at(request.attached_idx);
  check_owner(request, attached.peer);
  auto track = std::make_unique<UcxTrack>();
  track->set(request, own.memory, attached.region.base, attached.region.bytes);
  track->rkey = attached.rkey.get();
  track->memory = own.known.get();
  peer_at(request.peer).add_track(track.get());
  regions_.add_user(request.region_idx);
  attached_.add_user(request.attached_idx);
  return tracks_.add(std::move(track));
}

void UcxTransport::close_track(int track) {
  const UcxTrack& ends = *tracks_.at(track);
  const TrackRequest request = ends.request;
  UcxPeer& peer = peer_at(request.peer);
  if (!peer.is_quiet()) {
    throw_under_way(track, request.peer);
  }
  peer.remove_track(&ends);
  tracks_.remove(track);
  regions_.remove_user(request.region_idx);
  attached_.remove_user(request.attached_idx);
}

}  // namespace

std::string why_no_ucx() {
  return {};
}

std::unique_ptr<Transport> make_ucx_transport(Bootstrap& bootstrap, const UcxOptions& options) {
  std::unique_ptr<UcxTransport> end;
  bootstrap::run_together(bootstrap,
                          [&] { end = std::make_unique<UcxTransport>(bootstrap, options); });
  end->meet(bootstrap);
  return end;
}

}  // namespace switchyard::transport
