#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "csrc/bootstrap/gather.h"
#include "csrc/bootstrap/together.h"
#include "csrc/transport/region_key.h"
#include "csrc/transport/tables.h"
#include "csrc/transport/verbs/verbs.h"
#include "csrc/transport/verbs/verbs_port.h"
#include "csrc/transport/verbs/verbs_queue.h"
#include "switchyard/error.h"

namespace switchyard::transport {
namespace {

constexpr int kMaxQueuesPerPeer = 64;
/// Asking for events is a system call, so not at every poll; an error of a connection comes as a
/// completion anyway, events tell of the port.
constexpr std::uint64_t kPollsPerLook = 4096;

struct OwnRegion {
  std::span<std::byte> memory;
  VerbsMemory known;
};

struct AttachedRegion {
  int peer = -1;
  KeyedRegion region;
  std::uint32_t remote_key = 0;
};

struct Peer {
  std::vector<VerbsQueue*> queues;  // empty: not among VerbsOptions::peers
  std::size_t num_tracks = 0;
  std::uint64_t in_flight_bytes = 0;
  std::string why_lost;
};

class VerbsTransport final : public Transport {
 public:
  VerbsTransport(Bootstrap& bootstrap, const VerbsOptions& options);
  /// Connects all queues. Collective, where the constructor is not.
  void meet(Bootstrap& bootstrap);

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int num_ranks() const override { return static_cast<int>(peers_.size()); }
  [[nodiscard]] std::string describe() const override {
    return fmt::format(
        "verbs over {}, {} connections to a peer", port_.description(), queues_per_peer_);
  }

  int register_region(std::span<std::byte> memory) override;
  [[nodiscard]] std::vector<std::byte> region_key(int region_idx) const override;
  void deregister_region(int region_idx) override { regions_.remove(region_idx); }
  int attach_region(int peer, std::span<const std::byte> key) override;
  void detach_region(int attached_idx) override { attached_.remove(attached_idx); }
  int open_track(const TrackRequest& request) override;
  void close_track(int track) override;

  Posted put(int track, const Put& put) override;
  Posted signal(int track, const Signal& signal) override;
  void poll() override;

  [[nodiscard]] std::uint64_t completed_bytes(int track) const override {
    return tracks_.at(track)->completed_bytes;
  }
  [[nodiscard]] std::uint64_t in_flight_bytes(int peer) const override {
    return peer_at(peer).in_flight_bytes;
  }
  [[nodiscard]] bool is_quiet() const override {
    return std::all_of(peers_.begin(), peers_.end(), &VerbsTransport::is_peer_quiet);
  }
  [[nodiscard]] const std::string& why_lost(int peer) const override {
    return peer_at(peer).why_lost;
  }

 private:
  [[nodiscard]] const Peer& peer_at(int rank) const {
    check_peer(rank, num_ranks());
    return peers_[static_cast<std::size_t>(rank)];
  }
  [[nodiscard]] Peer& peer_at(int rank) {
    check_peer(rank, num_ranks());
    return peers_[static_cast<std::size_t>(rank)];
  }
  static bool is_peer_quiet(const Peer& peer) {
    return !peer.why_lost.empty() ||
           std::all_of(peer.queues.begin(), peer.queues.end(), [](const VerbsQueue* queue) {
             return queue->is_quiet();
           });
  }
  [[nodiscard]] KeyOwner key_owner(int rank) const {
    return {.kind = TransportKind::kVerbs, .rank = rank, .group = group_};
  }
  void make_queues(const VerbsOptions& options);
  void take(const ibv_wc& completion);
  void take_events();
  void lose(int rank, const std::string& what);

  int rank_;
  std::uint64_t group_ = 0;
  int queues_per_peer_;
  VerbsPort port_;
  VerbsCompletions completions_;
  std::vector<std::unique_ptr<VerbsQueue>> queues_;
  std::vector<int> peer_of_queue_;
  std::vector<Peer> peers_;  // by rank
  Slots<OwnRegion> regions_{"region"};
  Slots<AttachedRegion> attached_{"attached region"};
  Slots<std::unique_ptr<VerbsTrack>> tracks_{"track"};
  std::uint64_t num_polls_ = 0;
};

VerbsTransport::VerbsTransport(Bootstrap& bootstrap, const VerbsOptions& options)
    : rank_(bootstrap.rank()),
      queues_per_peer_(options.queues_per_peer),
      port_(options),
      peers_(static_cast<std::size_t>(bootstrap.num_ranks())) {
  if (queues_per_peer_ < 1 || queues_per_peer_ > kMaxQueuesPerPeer) {
    throw InvalidArgument(fmt::format(
        "verbs queues_per_peer: got {}, wanted 1 to {}", queues_per_peer_, kMaxQueuesPerPeer));
  }
  make_queues(options);
}

void VerbsTransport::make_queues(const VerbsOptions& options) {
  std::vector<int> ranks = options.peers;
  if (ranks.empty()) {
    for (int rank = 0; rank < num_ranks(); ++rank) {
      ranks.push_back(rank);
    }
  }
  const std::size_t num_queues = ranks.size() * static_cast<std::size_t>(queues_per_peer_);
  completions_.reset(ibv_create_cq(
      port_.context(), static_cast<int>(num_queues * VerbsQueue::kDepth), nullptr, nullptr, 0));
  if (completions_ == nullptr) {
    throw_verbs(errno,
                fmt::format("making a completion queue for {} connections (name fewer peers, or "
                            "fewer queues_per_peer)",
                            num_queues));
  }
  for (const int rank : ranks) {
    Peer& peer = peer_at(rank);
    if (!peer.queues.empty()) {
      throw InvalidArgument(fmt::format("verbs peers: rank {} is named twice", rank));
    }
    for (int idx = 0; idx < queues_per_peer_; ++idx) {
      queues_.push_back(std::make_unique<VerbsQueue>(
          port_, completions_.get(), static_cast<int>(queues_.size())));
      peer_of_queue_.push_back(rank);
      peer.queues.push_back(queues_.back().get());
    }
  }
}

void VerbsTransport::meet(Bootstrap& bootstrap) {
  group_ = agree_on_group(bootstrap);
  const auto addresses = bootstrap::gather_values(bootstrap, port_.address());
  // For each rank, the numbers of the queues that are meant for it; 0: none. (Queue pair 0 is the
  // fabric's own.)
  const auto per_peer = static_cast<std::size_t>(queues_per_peer_);
  std::vector<std::uint32_t> mine(peers_.size() * per_peer);
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    for (std::size_t idx = 0; idx < peers_[rank].queues.size(); ++idx) {
      mine[rank * per_peer + idx] = peers_[rank].queues[idx]->number();
    }
  }
  std::vector<std::uint32_t> all(mine.size() * peers_.size());
  bootstrap.all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)));
  bootstrap::run_together(bootstrap, [&] {
    for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
      for (std::size_t idx = 0; idx < peers_[rank].queues.size(); ++idx) {
        const std::uint32_t theirs =
            all[rank * mine.size() + static_cast<std::size_t>(rank_) * per_peer + idx];
        if (theirs == 0) {
          throw InvalidArgument(fmt::format(
              "verbs peers: rank {} names rank {}, which does not name it; peers are mutual",
              rank_,
              rank));
        }
        peers_[rank].queues[idx]->connect(port_, addresses[rank], theirs);
      }
    }
  });
}

int VerbsTransport::register_region(std::span<std::byte> memory) {
  check_memory(memory);
  VerbsMemory known(ibv_reg_mr(port_.domain(),
                               memory.data(),
                               memory.size(),
                               IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE));
  if (known == nullptr) {
    throw_verbs(errno,
                fmt::format("registering {} bytes with {} (is the limit of locked memory, ulimit "
                            "-l, high enough?)",
                            memory.size(),
                            port_.description()));
  }
  return regions_.add({memory, std::move(known)});
}

std::vector<std::byte> VerbsTransport::region_key(int region_idx) const {
  const OwnRegion& own = regions_.at(region_idx);
  RegionKey key{.region = {.base = reinterpret_cast<std::uintptr_t>(own.memory.data()),
                           .bytes = own.memory.size(),
                           .id = static_cast<std::uint64_t>(region_idx)},
                .details = std::vector<std::byte>(sizeof(own.known->rkey))};
  std::memcpy(key.details.data(), &own.known->rkey, sizeof(own.known->rkey));
  return pack_key(key_owner(rank_), key);
}

int VerbsTransport::attach_region(int peer, std::span<const std::byte> key) {
  if (peer_at(peer).queues.empty()) {
    throw InvalidArgument(
        fmt::format("peer: got rank {}, which is not among VerbsOptions::peers", peer));
  }
  const RegionKey unpacked = unpack_key(key_owner(peer), key);
  AttachedRegion attached{.peer = peer, .region = unpacked.region};
  if (unpacked.details.size() != sizeof(attached.remote_key)) {
    throw InvalidArgument(fmt::format("region key: its details have {} bytes, wanted {}",
                                      unpacked.details.size(),
                                      sizeof(attached.remote_key)));
  }
  std::memcpy(&attached.remote_key, unpacked.details.data(), sizeof(attached.remote_key));
  return attached_.add(attached);
}

int VerbsTransport::open_track(const TrackRequest& request) {
  Peer& peer = peer_at(request.peer);
  const OwnRegion& own = regions_.at(request.region_idx);
  const AttachedRegion& attached = attached_.at(request.attached_idx);
  check_owner(request, attached.peer);
  auto track = std::make_unique<VerbsTrack>();
  track->set(request, own.memory, attached.region.base, attached.region.bytes);
  track->local_key = own.known->lkey;
  track->remote_key = attached.remote_key;
  track->queue = peer.queues[peer.num_tracks++ % peer.queues.size()];
  regions_.add_user(request.region_idx);
  attached_.add_user(request.attached_idx);
  return tracks_.add(std::move(track));
}

void VerbsTransport::close_track(int track) {
  const TrackRequest request = tracks_.at(track)->request;
  if (!is_peer_quiet(peer_at(request.peer))) {
    throw_under_way(track, request.peer);
  }
  tracks_.remove(track);
  regions_.remove_user(request.region_idx);
  attached_.remove_user(request.attached_idx);
}

Posted VerbsTransport::put(int track, const Put& put) {
  VerbsTrack& ends = *tracks_.at(track);
  ends.check(put);
  Peer& peer = peer_at(ends.request.peer);
  if (!peer.why_lost.empty()) {
    return Posted::kPeerLost;
  }
  const std::uint64_t most = port_.max_message_bytes();
  const std::uint64_t num_pieces = put.bytes / most + (put.bytes % most != 0 ? 1 : 0);
  if (num_pieces >= VerbsQueue::kDepth) {
    throw InvalidArgument(
        fmt::format("put: got {} bytes, wanted below {} messages of {} bytes over {}",
                    put.bytes,
                    VerbsQueue::kDepth,
                    most,
                    port_.description()));
  }
  if (!ends.queue->has_room(num_pieces)) {
    return Posted::kFull;
  }
  for (Put piece = put; piece.bytes != 0;) {
    const std::uint64_t bytes = std::min(piece.bytes, most);
    if (const int error =
            ends.queue->post_bytes(ends, {piece.local_offset, piece.remote_offset, bytes});
        error != 0) {
      lose(ends.request.peer, std::strerror(error));
      return Posted::kPeerLost;
    }
    piece = {piece.local_offset + bytes, piece.remote_offset + bytes, piece.bytes - bytes};
  }
  peer.in_flight_bytes += put.bytes;
  return Posted::kPosted;
}

Posted VerbsTransport::signal(int track, const Signal& signal) {
  VerbsTrack& ends = *tracks_.at(track);
  ends.check(signal);
  if (!peer_at(ends.request.peer).why_lost.empty()) {
    return Posted::kPeerLost;
  }
  if (!ends.queue->has_room(1)) {
    return Posted::kFull;
  }
  if (const int error = ends.queue->post_counter(ends, signal); error != 0) {
    lose(ends.request.peer, std::strerror(error));
    return Posted::kPeerLost;
  }
  return Posted::kPosted;
}

void VerbsTransport::poll() {
  std::array<ibv_wc, 32> completions;
  const int num =
      ibv_poll_cq(completions_.get(), static_cast<int>(completions.size()), completions.data());
  for (int idx = 0; idx < num; ++idx) {
    take(completions[static_cast<std::size_t>(idx)]);
  }
  for (std::size_t position = 0; position < queues_.size(); ++position) {
    const int rank = peer_of_queue_[position];
    if (!peers_[static_cast<std::size_t>(rank)].why_lost.empty()) {
      continue;
    }
    if (const int error = queues_[position]->close_batch(); error != 0) {
      lose(rank, std::strerror(error));
    }
  }
  if (++num_polls_ % kPollsPerLook == 0) {
    take_events();
  }
}

void VerbsTransport::take(const ibv_wc& completion) {
  const auto position = static_cast<std::size_t>(VerbsQueue::position_of(completion.wr_id));
  const int rank = peer_of_queue_[position];
  Peer& peer = peers_[static_cast<std::size_t>(rank)];
  if (!peer.why_lost.empty()) {
    return;  // what comes back from a connection that is gone; its tracks may be, too
  }
  if (completion.status != IBV_WC_SUCCESS) {
    lose(rank, ibv_wc_status_str(completion.status));
    return;
  }
  peer.in_flight_bytes -= queues_[position]->complete(VerbsQueue::write_of(completion.wr_id));
}

void VerbsTransport::take_events() {
  port_.take_events(
      [this](const ibv_qp* pair, const std::string& what) {
        for (std::size_t position = 0; position < queues_.size(); ++position) {
          if (queues_[position]->pair() == pair) {
            lose(peer_of_queue_[position], what);
          }
        }
      },
      [this](const std::string& what) {
        for (int rank = 0; rank < num_ranks(); ++rank) {
          lose(rank, what);
        }
      });
}

void VerbsTransport::lose(int rank, const std::string& what) {
  Peer& peer = peers_[static_cast<std::size_t>(rank)];
  if (!peer.why_lost.empty()) {
    return;
  }
  peer.why_lost = fmt::format(
      "rank {} cannot be reached any more over verbs ({}): {}", rank, port_.description(), what);
  peer.in_flight_bytes = 0;
}

}  // namespace

std::string why_no_verbs(const VerbsOptions& options) {
  try {
    const VerbsPort port(options);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

std::unique_ptr<Transport> make_verbs_transport(Bootstrap& bootstrap, const VerbsOptions& options) {
  const auto counts = bootstrap::gather_values(bootstrap, options.queues_per_peer);
  for (std::size_t rank = 0; rank < counts.size(); ++rank) {
    if (counts[rank] != options.queues_per_peer) {
      throw ConfigMismatch(
          static_cast<int>(rank),
          fmt::format("verbs queues_per_peer: rank {} has {}, rank {} has {}; give "
                      "every rank the same value",
                      rank,
                      counts[rank],
                      bootstrap.rank(),
                      options.queues_per_peer));
    }
  }
  std::unique_ptr<VerbsTransport> end;
  bootstrap::run_together(bootstrap,
                          [&] { end = std::make_unique<VerbsTransport>(bootstrap, options); });
  end->meet(bootstrap);
  return end;
}

}  // namespace switchyard::transport
