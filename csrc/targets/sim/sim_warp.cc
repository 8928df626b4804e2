#include "csrc/targets/sim/sim_warp.h"

#include <cstring>
#include <memory>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "csrc/protocol/packet.h"
#include "csrc/targets/host/row_ops.h"

namespace switchyard::sim {
namespace {

using protocol::Word;

/// Words that are sealed with a check are told by the place that stores them. Roles store other
/// words, too: scales, weights.
StoredAs stored_as(const Place& where) {
  const std::string_view file = where.file_name();
  if (std::string_view(where.function_name()).find("store_note") != std::string_view::npos) {
    return StoredAs::kNote;
  }
  const bool sealed = file.ends_with("/row_metadata.h") || file.ends_with("/rail_packet.h");
  return sealed ? StoredAs::kMetadata : StoredAs::kRow;
}

void check_row(const void* at, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(at) % protocol::kPartAlignment != 0 ||
      bytes % protocol::kPartAlignment != 0) {
    throw ModelViolation("a row that bulk copies cannot move: not in units of 16 bytes");
  }
}

}  // namespace

SimWarp::SimWarp(WeakMemory& memory, int rank, std::string name)
    : memory_(&memory), rank_(rank), id_(memory.add_warp(rank, std::move(name))) {}

Word SimWarp::load_acquire(const Word* from, Place where) {
  before_read(from, sizeof(Word));
  memory_->acquire(id_, from, {Ordering::kAcquire, where});
  return observe(from);
}

Word SimWarp::load_relaxed(const Word* from) {
  before_read(from, sizeof(Word));
  return observe(from);
}

Word SimWarp::observe(const Word* from) {
  if (memory_->is_explored()) {
    const auto [last, fresh] = last_seen_.try_emplace(from, Word{0});
    if (last->second != *from) {
      last->second = *from;
      observations_ = observations_ * 0x9e3779b97f4a7c15U + *from + 1;
    }
  }
  return *from;
}

void SimWarp::store_relaxed(Word* to, Word value) {
  memory_->store_word(id_, to, value);
}

void SimWarp::store_release(Word* to, Word value, Place where) {
  memory_->store_release(id_, to, value, {Ordering::kRelease, where});
}

void SimWarp::add_release(Word* to, Word value, Place where) {
  memory_->add_release(id_, to, value, {Ordering::kAddRelease, where});
}

void SimWarp::copy_row(std::byte* const* to,
                       int num_dests,
                       const std::byte* from,
                       std::size_t bytes,
                       protocol::CopyHint /*hint*/) {
  check_row(from, bytes);
  before_row_read(from, bytes);
  const auto source = make_source(bytes, [memory = memory_, from, bytes](std::byte* row) {
    memory->check_access(from, bytes, "read");
    std::memcpy(row, from, bytes);
  });
  for (int i = 0; i < num_dests; ++i) {
    check_row(to[i], bytes);
    memory_->store_row(id_, to[i], bytes, source, 0);
  }
}

void SimWarp::store_words(std::byte* to,
                          const std::uint32_t* words,
                          std::uint32_t count,
                          Place where) {
  const std::size_t bytes = std::size_t{count} * sizeof(std::uint32_t);
  before_row_read(words, bytes);
  const auto source = std::make_shared<RowSource>();
  source->stored_as = stored_as(where);
  source->bytes.resize(bytes);
  std::memcpy(source->bytes.data(), words, bytes);
  memory_->store_row(id_, to, bytes, source, 0);
}

std::uint32_t SimWarp::load_word(const std::uint32_t* from) {
  before_row_read(from, sizeof(*from));
  return *from;
}

std::uint32_t SimWarp::sum_words(const std::uint32_t* words, std::uint32_t count) {
  check_row(words, count * sizeof(*words));
  before_row_read(words, count * sizeof(*words));
  return std::accumulate(words, words + count, std::uint32_t{0});
}

float SimWarp::load_float(const float* from) {
  before_row_read(from, sizeof(*from));
  return *from;
}

void SimWarp::zero_row(std::byte* to, std::size_t bytes) {
  const auto source = std::make_shared<RowSource>();
  source->bytes.resize(bytes);
  memory_->store_row(id_, to, bytes, source, 0);
}

void SimWarp::quantize_row(const protocol::Quantization& row,
                           std::byte* const* to,
                           std::byte* const* scales_to,
                           int num_dests,
                           protocol::CopyHint /*hint*/) {
  const std::size_t payload_bytes = row.num_elems;
  const std::size_t num_blocks =
      (row.num_elems + std::size_t{kScaleBlockElems} - 1) / kScaleBlockElems;
  const std::size_t scale_bytes = row.format == protocol::ScaleFormat::kFp32
                                      ? num_blocks * sizeof(float)
                                      : protocol::round_up(num_blocks, 4);
  check_row(row.src, payload_bytes);
  before_row_read(row.src, 2 * payload_bytes);
  const auto source =
      make_source(payload_bytes + scale_bytes, [row, payload_bytes](std::byte* bytes) {
        protocol::Quantization local = row;
        local.dst = bytes;
        local.scales = bytes + payload_bytes;
        host::quantize_row(local);
      });
  for (int i = 0; i < num_dests; ++i) {
    check_row(to[i], payload_bytes);
    memory_->store_row(id_, to[i], payload_bytes, source, 0);
    memory_->store_row(id_, scales_to[i], scale_bytes, source, payload_bytes);
  }
}

void SimWarp::reduce_rows(const protocol::Reduction& reduction,
                          protocol::CopyHint /*hint*/,
                          const protocol::Reduction* /*next*/) {
  const std::size_t bytes = reduction.num_elems * dtype_bytes(reduction.dtype);
  std::vector<protocol::Term> terms(reduction.terms, reduction.terms + reduction.num_terms);
  for (const protocol::Term& term : terms) {
    check_row(term.row, bytes);
    before_row_read(term.row, bytes);
  }
  const auto source = make_source(
      bytes, [memory = memory_, reduction, bytes, terms = std::move(terms)](std::byte* row) {
        for (const protocol::Term& term : terms) {
          memory->check_access(term.row, bytes, "read");
        }
        protocol::Reduction local = reduction;
        local.terms = terms.data();
        local.dst = row;
        host::reduce_rows(local, protocol::CopyHint::kKeep);
      });
  check_row(reduction.dst, bytes);
  memory_->store_row(id_, reduction.dst, bytes, source, 0);
}

Track SimWarp::network_track(protocol::RailTrack track) const {
  const int ranks_per_node = memory_->heaps().ranks_per_node();
  return {rank_, track.node * ranks_per_node + rank_ % ranks_per_node, track.index};
}

bool SimWarp::put(protocol::RailTrack track, const protocol::RailPut& put) {
  if (network_->is_full(rank_)) {
    return false;
  }
  const Track way = network_track(track);
  const protocol::Peers here = memory_->heaps().peers(way.from);
  const protocol::Peers there = memory_->heaps().peers(way.to);
  check_row(here.local(put.local_offset), put.bytes);
  check_row(there.local(put.remote_offset), put.bytes);
  network_->put(id_, way, there.local(put.remote_offset), here.local(put.local_offset), put.bytes);
  memory_->read_late_sources(id_);
  network_->signal(id_, way, reinterpret_cast<Word*>(there.local(put.counter_offset)), put.value);
  return true;
}

bool SimWarp::signal(protocol::RailTrack track, std::uint64_t counter_offset, std::uint64_t value) {
  if (network_->is_full(rank_)) {
    return false;
  }
  const Track way = network_track(track);
  memory_->read_late_sources(id_);
  network_->signal(id_,
                   way,
                   reinterpret_cast<Word*>(memory_->heaps().peers(way.to).local(counter_offset)),
                   value);
  return true;
}

std::uint64_t SimWarp::allocate(std::uint64_t bytes) {
  memory_->take_arena_lock(id_);
  const std::uint64_t offset = memory_->heaps().allocate(rank_, bytes);
  memory_->trace(id_, "allocate", nullptr, offset);
  memory_->count_effect(id_);
  return offset;
}

std::uint64_t SimWarp::largest_free() const {
  return memory_->heaps().largest_free(rank_);
}

void SimWarp::release(std::uint64_t offset) {
  memory_->take_arena_lock(id_);
  memory_->trace(id_, "give back", nullptr, offset);
  memory_->count_effect(id_);
  memory_->heaps().release(rank_, offset);
}

void SimWarp::before_read(const void* from, std::size_t bytes) {
  memory_->settle(id_, from, bytes);
  memory_->check_access(from, bytes, "read");
}

void SimWarp::before_row_read(const void* from, std::size_t bytes) {
  before_read(from, bytes);
  memory_->note_read(id_, from, bytes);
}

std::shared_ptr<RowSource> SimWarp::make_source(std::size_t bytes,
                                                std::function<void(std::byte*)> read) {
  auto source = std::make_shared<RowSource>();
  source->bytes.resize(bytes);
  source->read = std::move(read);
  if (memory_->coin()) {
    source->read_now();
  }
  return source;
}

}  // namespace switchyard::sim
