#include "csrc/transport/verbs/verbs_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace switchyard::transport {
namespace {

/// 4.096 us times 2^14, 67 ms, for an acknowledgement; after six more tries, half a second to four
/// by device, the peer is lost. Shorter, and a congested fabric loses peers that live. Not seven
/// tries: the kernel's software device takes that for no end of them.
constexpr std::uint8_t kAckTimeout = 14;
constexpr std::uint8_t kRetries = 6;

void change(ibv_qp* pair, ibv_qp_attr& attributes, int mask, const char* to) {
  if (const int error = ibv_modify_qp(pair, &attributes, mask); error != 0) {
    throw_verbs(error, fmt::format("taking a connection to {}", to));
  }
}

}  // namespace

VerbsQueue::VerbsQueue(const VerbsPort& port, ibv_cq* completions, int position)
    : position_(position) {
  ibv_qp_init_attr attributes{};
  attributes.send_cq = completions;
  attributes.recv_cq = completions;
  attributes.cap.max_send_wr = kDepth;
  attributes.cap.max_recv_wr = 1;
  attributes.cap.max_send_sge = 1;
  attributes.cap.max_recv_sge = 1;
  attributes.cap.max_inline_data = sizeof(std::uint64_t);
  attributes.qp_type = IBV_QPT_RC;
  pair_.reset(ibv_create_qp(port.domain(), &attributes));
  if (pair_ == nullptr) {
    throw_verbs(errno, "making a queue pair of " + port.description());
  }
}

void VerbsQueue::connect(const VerbsPort& port, const PortAddress& peer, std::uint32_t number) {
  ibv_qp_attr init{};
  init.qp_state = IBV_QPS_INIT;
  init.port_num = port.route_to(peer).port_num;
  init.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
  change(pair_.get(),
         init,
         IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS,
         "INIT");

  ibv_qp_attr receive{};
  receive.qp_state = IBV_QPS_RTR;
  receive.ah_attr = port.route_to(peer);
  receive.path_mtu = static_cast<ibv_mtu>(std::min(port.address().mtu, peer.mtu));
  receive.dest_qp_num = number;
  receive.max_dest_rd_atomic = 1;
  receive.min_rnr_timer = 12;
  change(pair_.get(),
         receive,
         IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
             IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
         "RTR");

  ibv_qp_attr send{};
  send.qp_state = IBV_QPS_RTS;
  send.timeout = kAckTimeout;
  send.retry_cnt = kRetries;
  send.rnr_retry = kRetries;
  send.max_rd_atomic = 1;
  change(pair_.get(),
         send,
         IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
             IBV_QP_MAX_QP_RD_ATOMIC,
         "RTS");
}

int VerbsQueue::post_bytes(VerbsTrack& track, const Put& put) {
  ibv_sge source{};
  source.addr = reinterpret_cast<std::uintptr_t>(track.local_base) + put.local_offset;
  source.length = static_cast<std::uint32_t>(put.bytes);
  source.lkey = track.local_key;
  ibv_send_wr request{};
  request.sg_list = &source;
  request.num_sge = 1;
  request.wr.rdma.remote_addr = track.remote_base + put.remote_offset;
  request.wr.rdma.rkey = track.remote_key;
  return post(request, {.track = &track, .bytes = put.bytes}, num_silent_ + 1 == kNewsEvery);
}

int VerbsQueue::post_counter(const VerbsTrack& track, const Signal& signal) {
  std::uint64_t value = signal.value;  // copied into the request: it is inline
  ibv_sge source{};
  source.addr = reinterpret_cast<std::uintptr_t>(&value);
  source.length = sizeof(value);
  ibv_send_wr request{};
  request.sg_list = &source;
  request.num_sge = 1;
  request.send_flags = IBV_SEND_INLINE;
  request.wr.rdma.remote_addr = track.remote_base + signal.counter_offset;
  request.wr.rdma.rkey = track.remote_key;
  return post(request, {}, true);
}

int VerbsQueue::close_batch() {
  const bool is_burst_over = posted_ == posted_at_close_;
  posted_at_close_ = posted_;
  if (num_silent_ == 0 || !is_burst_over || posted_ - completed_ == kDepth) {
    return 0;
  }
  ibv_send_wr request{};  // a write of nothing, to nowhere
  return post(request, {}, true);
}

int VerbsQueue::post(ibv_send_wr& request, const Write& write, bool asks) {
  request.wr_id = static_cast<std::uint64_t>(position_) << kWriteBits | (posted_ & kWriteMask);
  request.opcode = IBV_WR_RDMA_WRITE;
  if (asks) {
    request.send_flags |= IBV_SEND_SIGNALED;
  }
  ibv_send_wr* refused = nullptr;
  if (const int error = ibv_post_send(pair_.get(), &request, &refused); error != 0) {
    return error;
  }
  writes_[posted_ % kDepth] = write;
  ++posted_;
  num_silent_ = asks ? 0 : num_silent_ + 1;
  return 0;
}

std::uint64_t VerbsQueue::complete(std::uint64_t write) {
  std::uint64_t bytes = 0;
  while (((completed_ ^ (write + 1)) & kWriteMask) != 0 && completed_ != posted_) {
    const Write& done = writes_[completed_ % kDepth];
    if (done.track != nullptr) {
      done.track->completed_bytes += done.bytes;
      bytes += done.bytes;
    }
    ++completed_;
  }
  return bytes;
}

}  // namespace switchyard::transport
