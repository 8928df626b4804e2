#include "benchmarks/mpi/mpi_dispatch.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <span>

#include "benchmarks/mpi/to_size.h"
#include "csrc/protocol/packet.h"
#include "csrc/targets/host/row_ops.h"

namespace switchyard::bench {

namespace {

// measured: as in main.cc; plain stores gave 56.1 instead of 41.0 ms, and 5.1 instead of 3.9 ms for
// 128 tokens.
constexpr protocol::CopyHint kPackHint = protocol::CopyHint::kStream;

// Padded outputs are sparse: huge pages take all of their memory, small pages only what rows touch.
// Huge ones are faster (measured: 128 tokens, 4 ranks, 7.1 instead of 7.5 ms), so they are used
// while all ranks together fit in this.
constexpr std::size_t kMostHugeBytes = std::size_t{4} << 30U;

Pages output_pages(const Workload& workload) {
  const std::size_t padded_bytes = to_size(workload.num_experts) * to_size(workload.num_ranks) *
                                   to_size(workload.places()) * workload.landed_row_bytes();
  const bool sparse = workload.layout == Layout::kPadded && padded_bytes > kMostHugeBytes;
  return sparse ? Pages::kSmall : Pages::kHuge;
}

}  // namespace

MpiDispatch::MpiDispatch(const Communicator& communicator,
                         const Workload& workload,
                         const RankInputs& inputs,
                         Plan plan)
    : communicator_(communicator),
      workload_(workload),
      inputs_(inputs),
      plan_(plan, workload.layout),
      payload_bytes_(workload.landed_row_bytes()),
      scale_bytes_(workload.landed_scale_bytes()),
      note_at_(protocol::round_up(scale_bytes_, 16)),
      num_note_entries_(plan_.per_expert() ? 1 : workload.topk),
      side_bytes_(note_at_ + TokenNote::bytes(num_note_entries_)),
      entries_(workload.layout == Layout::kRankMajor ? to_size(workload.topk) : 1),
      payload_type_(payload_bytes_),
      side_type_(side_bytes_),
      packet_type_(payload_bytes_ + side_bytes_),
      carried_scales_(static_cast<const std::byte*>(inputs.request().scales.data)),
      quantized_row_(payload_bytes_),
      quantized_scales_(note_at_),
      x_(0, output_pages(workload)) {}

void MpiDispatch::run() {
  plan_.make(workload_, inputs_.routing());
  exchange_counts();
  reserve_exchange();
  pack();
  exchange();
  place_rows();
  unpack();
  zero_padding();
  host::stream_fence();
}

std::byte* MpiDispatch::packed_payload(int slot) const {
  const std::size_t pitch = rank_major() ? payload_bytes_ : packet_type_.bytes();
  return send_payloads_.data() + to_size(slot) * pitch;
}

std::byte* MpiDispatch::packed_side(int slot) const {
  return rank_major() ? send_sides_.data() + to_size(slot) * side_bytes_
                      : packed_payload(slot) + payload_bytes_;
}

std::byte* MpiDispatch::received_payload(int slot) const {
  return rank_major() ? x_.data() + to_size(slot) * payload_bytes_
                      : recv_packets_.data() + to_size(slot) * packet_type_.bytes();
}

std::byte* MpiDispatch::received_side(int slot) const {
  return rank_major() ? recv_packets_.data() + to_size(slot) * side_bytes_
                      : received_payload(slot) + payload_bytes_;
}

void MpiDispatch::exchange_counts() {
  rows_from_.resize(plan_.counts().size());
  communicator_.exchange_counts(plan_.counts(), rows_from_);
  sent_.counts.assign(plan_.counts().begin(), plan_.counts().end());
  received_.counts = rows_from_;
  if (const int self = communicator_.rank(); stays(self)) {
    sent_.counts[to_size(self)] = 0;
    received_.counts[to_size(self)] = 0;
  }
  sent_.first_rows.resize(sent_.counts.size());
  received_.first_rows.resize(sent_.counts.size());
  std::exclusive_scan(sent_.counts.begin(), sent_.counts.end(), sent_.first_rows.begin(), 0);
  std::exclusive_scan(rows_from_.begin(), rows_from_.end(), received_.first_rows.begin(), 0);
  num_received_ = received_.first_rows.back() + rows_from_.back();
}

void MpiDispatch::reserve_exchange() {
  const int num_sent = sent_.first_rows.back() + sent_.counts.back();
  if (rank_major()) {
    send_payloads_.reserve(to_size(num_sent) * payload_bytes_);
    send_sides_.reserve(to_size(num_sent) * side_bytes_);
    recv_packets_.reserve(to_size(num_received_) * side_bytes_);
    x_.reserve(to_size(num_received_) * payload_bytes_);
  } else {
    send_payloads_.reserve(to_size(num_sent) * packet_type_.bytes());
    recv_packets_.reserve(to_size(num_received_) * packet_type_.bytes());
  }
}

void MpiDispatch::pack() {
  std::vector<std::byte*> payloads;
  for (int token = 0; token < inputs_.routing().num_tokens; ++token) {
    pack_token(token, payloads);
  }
  host::stream_fence();  // the rows are read by other processes
}

void MpiDispatch::pack_token(int token, std::vector<std::byte*>& payloads) {
  const std::byte* row =
      static_cast<const std::byte*>(inputs_.x().data) + to_size(token) * workload_.row_bytes();
  const std::byte* scales = carried_scales_ + to_size(token) * scale_bytes_;
  const auto destinations = plan_.destinations(token);
  if (quantized() && !destinations.empty()) {
    host::quantize_row({quantized_row_.data(),
                        quantized_scales_.data(),
                        row,
                        static_cast<std::uint32_t>(workload_.hidden),
                        workload_.landed_scales()});
    row = quantized_row_.data();
    scales = quantized_scales_.data();
  }
  payloads.clear();
  for (const Destination& destination : destinations) {
    const auto rank = to_size(destination.rank);
    const bool here = stays(destination.rank);
    const int slot = (here ? received_ : sent_).first_rows[rank] + destination.ordinal;
    pack_side(token, destination, scales, here ? received_side(slot) : packed_side(slot));
    // Outside rank-major, an unquantised row that stays is copied from x to its places when those
    // are known.
    if (!here) {
      payloads.push_back(packed_payload(slot));
    } else if (rank_major() || quantized()) {
      payloads.push_back(received_payload(slot));
    }
  }
  if (!payloads.empty()) {
    host::copy_row(
        payloads.data(), static_cast<int>(payloads.size()), row, payload_bytes_, kPackHint);
  }
}

void MpiDispatch::pack_side(int token,
                            const Destination& destination,
                            const std::byte* scales,
                            std::byte* side) {
  std::memcpy(side, scales, scale_bytes_);
  if (plan_.per_expert()) {
    TokenNote::write(side + note_at_, token, {&destination.expert, 1}, {&destination.weight, 1});
    return;
  }
  const RankRouting& routing = inputs_.routing();
  const auto topk = to_size(routing.topk);
  TokenNote::write(side + note_at_,
                   token,
                   std::span(routing.topk_idx).subspan(to_size(token) * topk, topk),
                   std::span(routing.topk_weights).subspan(to_size(token) * topk, topk));
}

void MpiDispatch::exchange() {
  if (rank_major()) {
    communicator_.exchange_rows(
        send_sides_.data(), sent_, recv_packets_.data(), received_, side_type_);
    communicator_.exchange_rows(send_payloads_.data(), sent_, x_.data(), received_, payload_type_);
  } else {
    communicator_.exchange_rows(
        send_payloads_.data(), sent_, recv_packets_.data(), received_, packet_type_);
  }
}

void MpiDispatch::place_rows() {
  landed_.clear();
  num_rows_ = num_received_;
  if (!rank_major()) {
    for (int slot = 0; slot < num_received_; ++slot) {
      landed_.add(workload_, communicator_.rank(), received_note(slot));
    }
    num_rows_ = landed_.place(workload_, rows_from_);
    x_.reserve(to_size(num_rows_) * payload_bytes_);
  }
  scales_.reserve(to_size(num_rows_) * scale_bytes_);
  topk_idx_.resize(to_size(num_rows_) * entries_);
  topk_weights_.resize(topk_idx_.size());
  source_rank_.resize(to_size(num_rows_));
  source_token_.resize(to_size(num_rows_));
}

void MpiDispatch::unpack() {
  int slot = 0;
  for (int source = 0; source < workload_.num_ranks; ++source) {
    for (const int end = slot + rows_from_[to_size(source)]; slot < end; ++slot) {
      if (rank_major()) {
        unpack_rank_major(source, slot);
      } else {
        unpack_row(source, slot);
      }
    }
  }
}

// The payload was received where it belongs.
void MpiDispatch::unpack_rank_major(int source, int slot) {
  store_metadata(slot, source, slot);
  const TokenNote note = received_note(slot);
  const std::int64_t first_expert =
      std::int64_t{communicator_.rank()} * workload_.experts_per_rank();
  for (int k = 0; k < workload_.topk; ++k) {
    const std::int64_t local = note.expert(k) - first_expert;
    const bool here = local >= 0 && local < workload_.experts_per_rank();
    topk_idx_[to_size(slot) * entries_ + to_size(k)] = here ? local : -1;
    topk_weights_[to_size(slot) * entries_ + to_size(k)] = here ? note.weight(k) : 0.0F;
  }
}

void MpiDispatch::unpack_row(int source, int slot) {
  std::array<std::byte*, kMaxTopk> rows;
  int num_rows = 0;
  for (const LandedExpert& expert : landed_.experts(to_size(slot))) {
    rows[to_size(num_rows++)] = x_.data() + to_size(expert.row) * payload_bytes_;
    store_metadata(expert.row, source, slot);
    topk_idx_[to_size(expert.row)] = expert.local_expert;
    topk_weights_[to_size(expert.row)] = expert.weight;
  }
  const bool from_x = stays(source) && !quantized();
  const std::byte* payload = from_x ? static_cast<const std::byte*>(inputs_.x().data) +
                                          to_size(received_note(slot).token()) * payload_bytes_
                                    : received_payload(slot);
  host::copy_row(rows.data(), num_rows, payload, payload_bytes_, kPackHint);
}

void MpiDispatch::zero_padding() {
  if (!workload_.zero_padding) {
    return;
  }
  for (std::size_t expert = 0; expert < to_size(workload_.experts_per_rank()); ++expert) {
    const std::int64_t first = landed_.end_of_rows(expert);
    const std::int64_t end = landed_.expert_offsets()[expert + 1];
    std::memset(
        x_.data() + to_size(first) * payload_bytes_, 0, to_size(end - first) * payload_bytes_);
  }
}

void MpiDispatch::store_metadata(std::int64_t row, int source, int slot) {
  std::memcpy(scales_.data() + to_size(row) * scale_bytes_, received_side(slot), scale_bytes_);
  source_rank_[to_size(row)] = source;
  source_token_[to_size(row)] = received_note(slot).token();
}

TensorView MpiDispatch::x() const {
  return {x_.data(), workload_.landed_dtype(), {num_rows_, workload_.hidden}};
}

DispatchViews MpiDispatch::views() const {
  DispatchViews views;
  const auto entries = static_cast<std::int64_t>(entries_);
  views.x = x();
  if (scale_bytes_ > 0) {
    const DType dtype =
        workload_.landed_scales() == protocol::ScaleFormat::kFp32 ? DType::kFp32 : DType::kUe8m0x4;
    const auto num_scales = static_cast<std::int64_t>(scale_bytes_ / dtype_bytes(dtype));
    views.scales = {scales_.data(), dtype, {num_rows_, num_scales}};
  }
  views.topk_idx = {topk_idx_.data(), DType::kInt64, {num_rows_, entries}};
  views.topk_weights = {topk_weights_.data(), DType::kFp32, {num_rows_, entries}};
  views.source_rank = {source_rank_.data(), DType::kInt32, {num_rows_}};
  views.source_token = {source_token_.data(), DType::kInt32, {num_rows_}};
  views.num_rows = num_rows_;
  if (!rank_major()) {
    views.expert_offsets = landed_.expert_offsets();
  }
  return views;
}

}  // namespace switchyard::bench
