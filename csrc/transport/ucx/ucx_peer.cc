#include "csrc/transport/ucx/ucx_peer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace switchyard::transport {
namespace {

/// Puts under way to one peer before put() says kFull; UCX itself would queue without end. derived:
/// chunks of 64 KiB fill 64 MiB with it, far more than any link holds.
constexpr int kMaxPuts = 1024;

}  // namespace

bool UcxSignals::add(ucp_rkey_h rkey, std::uint64_t address, std::uint64_t value) {
  for (std::uint64_t count = covered_end_; count != end_; ++count) {
    if (at(count).address == address) {
      at(count).value = value;
      return true;
    }
  }
  if (end_ - begin_ == kCapacity) {
    return false;
  }
  at(end_++) = {rkey, address, value};
  return true;
}

ucp_ep_h UcxPeer::connect(const UcxWorker& worker) {
  if (endpoint_ != nullptr) {
    return endpoint_;
  }
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                      UCP_EP_PARAM_FIELD_ERR_HANDLER;
  params.address = reinterpret_cast<const ucp_address_t*>(address_.data());
  reports_death_ = worker.reports_dead_peers();
  params.err_mode = reports_death_ ? UCP_ERR_HANDLING_MODE_PEER : UCP_ERR_HANDLING_MODE_NONE;
  params.err_handler = {.cb = &UcxPeer::on_error, .arg = this};
  check_ucx(
      ucp_ep_create(worker.get(), &params, &endpoint_),
      fmt::format("connecting to rank {} (do both ranks have a transport in common?)", rank_));
  // Not quiet before the connection stands: UCX 1.13 ends the process (an assertion) when a peer
  // goes in the middle of connecting.
  must_flush_ = true;
  return endpoint_;
}

ucs_status_ptr_t UcxPeer::close() {
  if (flush_ != nullptr) {
    ucp_request_free(std::exchange(flush_, nullptr));
  }
  if (endpoint_ == nullptr || !reports_death_) {
    return nullptr;  // without error handling only the worker's end closes it without the peer
  }
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
  param.flags = UCP_EP_CLOSE_FLAG_FORCE;
  return ucp_ep_close_nbx(std::exchange(endpoint_, nullptr), &param);
}

void UcxPeer::remove_track(const UcxTrack* track) {
  std::erase(tracks_, track);
}

Posted UcxPeer::put(UcxTrack& track, const Put& put) {
  if (is_lost()) {
    return Posted::kPeerLost;
  }
  if (put.bytes == 0) {
    return Posted::kPosted;
  }
  if (num_puts_ == kMaxPuts) {
    return Posted::kFull;
  }
  if (!write(track.local_base + put.local_offset,
             put.bytes,
             track.remote_base + put.remote_offset,
             track.rkey,
             track.memory)) {
    return Posted::kPeerLost;
  }
  ++num_puts_;
  track.put_bytes += put.bytes;
  in_flight_bytes_ += put.bytes;
  return Posted::kPosted;
}

Posted UcxPeer::signal(UcxTrack& track, const Signal& signal) {
  if (is_lost()) {
    return Posted::kPeerLost;
  }
  const bool waits = !signals_.is_empty() || track.put_bytes != track.completed_bytes;
  if (!signals_.add(track.rkey, track.remote_base + signal.counter_offset, signal.value)) {
    return Posted::kFull;
  }
  must_flush_ = true;
  if (!waits) {
    // No put of the track is under way, no older signal either: this one may go at once.
    signals_.cover();
    signals_.release([this](const UcxSignals::Entry& entry) {
      write(&entry.value, sizeof(entry.value), entry.address, entry.rkey, nullptr);
    });
  }
  return is_lost() ? Posted::kPeerLost : Posted::kPosted;
}

void UcxPeer::advance() {
  if (flush_ != nullptr) {
    const ucs_status_t status = ucp_request_check_status(flush_);
    if (status == UCS_INPROGRESS) {
      return;
    }
    ucp_request_free(std::exchange(flush_, nullptr));
    if (status != UCS_OK) {
      lose(ucs_status_string(status));
    }
    if (is_lost()) {
      return;
    }
    finish_flush();
  }
  if (must_flush_ && !is_lost()) {
    start_flush();
  }
}

void UcxPeer::start_flush() {
  must_flush_ = false;
  num_flushing_puts_ = num_puts_;
  for (UcxTrack* track : tracks_) {
    track->flushing_bytes = track->put_bytes;
  }
  signals_.cover();
  const ucp_request_param_t param{};
  flush_ = ucp_ep_flush_nbx(endpoint_, &param);
  if (UCS_PTR_IS_ERR(flush_)) {
    lose(ucs_status_string(UCS_PTR_STATUS(std::exchange(flush_, nullptr))));
  } else if (flush_ == nullptr) {
    finish_flush();
  }
}

void UcxPeer::finish_flush() {
  num_puts_ -= std::exchange(num_flushing_puts_, 0);
  for (UcxTrack* track : tracks_) {
    in_flight_bytes_ -= track->flushing_bytes - track->completed_bytes;
    track->completed_bytes = track->flushing_bytes;
  }
  signals_.release([this](const UcxSignals::Entry& entry) {
    write(&entry.value, sizeof(entry.value), entry.address, entry.rkey, nullptr);
  });
}

bool UcxPeer::write(const void* from,
                    std::uint64_t bytes,
                    std::uint64_t address,
                    ucp_rkey_h rkey,
                    ucp_mem_h memory) {
  if (is_lost()) {
    return false;
  }
  ucp_request_param_t param{};
  if (memory != nullptr) {
    param.op_attr_mask = UCP_OP_ATTR_FIELD_MEMH;
    param.memh = memory;
  }
  auto* const request = ucp_put_nbx(endpoint_, from, bytes, address, rkey, &param);
  if (UCS_PTR_IS_ERR(request)) {
    lose(ucs_status_string(UCS_PTR_STATUS(request)));
    return false;
  }
  if (request != nullptr) {
    ucp_request_free(request);  // it goes on; the flush after it tells when it is done
  }
  must_flush_ = true;
  return true;
}

void UcxPeer::on_error(void* peer, ucp_ep_h /*endpoint*/, ucs_status_t status) {
  static_cast<UcxPeer*>(peer)->lose(ucs_status_string(status));
}

void UcxPeer::lose(const std::string& what) {
  if (is_lost()) {
    return;
  }
  why_lost_ = fmt::format("rank {} cannot be reached any more over ucx: {}", rank_, what);
  in_flight_bytes_ = 0;
  signals_.clear();
}

}  // namespace switchyard::transport
