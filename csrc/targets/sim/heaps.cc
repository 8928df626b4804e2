#include "csrc/targets/sim/heaps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "csrc/protocol/warp.h"

namespace switchyard::sim {

void Heaps::Free::operator()(std::byte* memory) const {
  std::free(memory);
}

Heaps::Heaps(const protocol::ControlLayout& control, std::uint64_t heap_bytes)
    : control_(control), heap_bytes_(protocol::round_up(heap_bytes, memory::kRegionAlignment)) {
  const std::uint64_t all = control.num_ranks * stride_bytes();
  memory_.reset(static_cast<std::byte*>(std::aligned_alloc(memory::kRegionAlignment, all)));
  if (memory_ == nullptr || heap_bytes_ < control.block_bytes()) {
    throw std::bad_alloc();
  }
  for (std::uint32_t rank = 0; rank < control.num_ranks; ++rank) {
    std::fill_n(memory_.get() + rank * stride_bytes(), control.block_bytes(), std::byte{0});
    heaps_.emplace_back(control.block_bytes(), heap_bytes_);
  }
}

protocol::Peers Heaps::peers(int rank) const {
  const int first = node_of(rank) * ranks_per_node();
  return {all().at(first, 0), stride_bytes(), rank - first, ranks_per_node(), heap_bytes_};
}

std::uint64_t Heaps::allocate(int rank, std::uint64_t bytes) {
  RankHeap& heap = heaps_[static_cast<std::size_t>(rank)];
  const auto offset = heap.arena->allocate(bytes);
  if (!offset) {
    return protocol::kNoRegion;
  }
  const std::uint64_t rounded =
      protocol::round_up(std::max<std::uint64_t>(1, bytes), memory::kRegionAlignment);
  heap.regions[*offset] = rounded;
  std::fill_n(peers(rank).local(*offset), rounded, kFresh);
  return *offset;
}

void Heaps::release(int rank, std::uint64_t offset) {
  RankHeap& heap = heaps_[static_cast<std::size_t>(rank)];
  heap.arena->release(offset);
  std::fill_n(peers(rank).local(offset), heap.regions.at(offset), kReleased);
  heap.regions.erase(offset);
}

std::uint64_t Heaps::largest_free(int rank) const {
  return heap(rank).arena->largest_free_bytes();
}

std::uint64_t Heaps::region_bytes(int rank, std::uint64_t offset) const {
  return heap(rank).regions.at(offset);
}

std::size_t Heaps::num_regions(int rank) const {
  return heap(rank).regions.size();
}

void Heaps::check_access(const void* at, std::size_t bytes, const char* what) const {
  const int rank = rank_of(at);
  if (rank < 0 || bytes == 0) {
    return;
  }
  const auto offset =
      static_cast<std::uint64_t>(static_cast<const std::byte*>(at) - peers(rank).local(0));
  if (offset + bytes <= control_.block_bytes()) {
    return;
  }
  const auto& regions = heap(rank).regions;
  auto region = regions.upper_bound(offset);
  if (region == regions.begin()) {
    throw ModelViolation(fmt::format("{} of {} bytes at {}", what, bytes, name(at)));
  }
  --region;
  if (offset + bytes > region->first + region->second) {
    throw ModelViolation(fmt::format("{} of {} bytes at {}", what, bytes, name(at)));
  }
}

std::string Heaps::name(const void* at) const {
  const int rank = rank_of(at);
  if (rank < 0) {
    return "private memory";
  }
  const auto offset =
      static_cast<std::uint64_t>(static_cast<const std::byte*>(at) - peers(rank).local(0));
  if (offset < control_.block_bytes()) {
    return name_control(rank, offset);
  }
  const auto& regions = heap(rank).regions;
  auto region = regions.upper_bound(offset);
  if (region == regions.begin() || (--region, offset >= region->first + region->second)) {
    return fmt::format("rank {} free memory {:#x}", rank, offset);
  }
  return fmt::format("rank {} region {:#x} + {:#x}", rank, region->first, offset - region->first);
}

std::string Heaps::name_control(int rank, std::uint64_t offset) const {
  for (std::uint32_t slot = 0; slot < control_.num_slots; ++slot) {
    for (int source = 0; source < static_cast<int>(control_.num_ranks); ++source) {
      const struct {
        const char* name;
        std::uint64_t begin;
        std::uint64_t end;
      } mailboxes[] = {
          {"hello", control_.hello(slot, source), control_.answer(slot, source)},
          {"answer", control_.answer(slot, source), control_.permit(slot, source)},
          {"permit", control_.permit(slot, source), control_.progress(slot, source, 0)},
          {"progress",
           control_.progress(slot, source, 0),
           control_.progress(slot, source, static_cast<int>(control_.num_channels))},
      };
      for (const auto& mailbox : mailboxes) {
        if (offset >= mailbox.begin && offset < mailbox.end) {
          return fmt::format("rank {} {}[slot {}, source {}] word {}",
                             rank,
                             mailbox.name,
                             slot,
                             source,
                             (offset - mailbox.begin) / sizeof(protocol::Word));
        }
      }
    }
  }
  return control_.num_nodes > 1 ? name_rails(rank, offset)
                                : fmt::format("rank {} control block {:#x}", rank, offset);
}

std::string Heaps::name_rails(int rank, std::uint64_t offset) const {
  const protocol::RailLayout rails = control_.rails();
  for (int node = 0; node < static_cast<int>(control_.num_nodes); ++node) {
    for (std::uint32_t slot = 0; slot < control_.num_slots; ++slot) {
      for (const auto kind : {protocol::PostKind::kHello, protocol::PostKind::kVerdict}) {
        const std::uint64_t begin = rails.arrival(node, slot, kind);
        if (offset >= begin && offset < rails.post_out(node, slot, kind) + rails.post_bytes()) {
          return fmt::format("rank {} post {}[slot {}, node {}] + {:#x}",
                             rank,
                             kind == protocol::PostKind::kHello ? "hello" : "verdict",
                             slot,
                             node,
                             offset - begin);
        }
      }
    }
    for (int channel = 0; channel < static_cast<int>(control_.num_channels); ++channel) {
      for (const auto kind : {protocol::RingKind::kPackets, protocol::RingKind::kSums}) {
        const std::uint64_t begin = rails.tail(node, channel, kind);
        if (offset >= begin && offset < rails.ring_out(node, channel, kind) + rails.ring_bytes) {
          return fmt::format("rank {} {} track[node {}, channel {}] + {:#x}",
                             rank,
                             kind == protocol::RingKind::kPackets ? "packet" : "sum",
                             node,
                             channel,
                             offset - begin);
        }
      }
    }
  }
  return fmt::format("rank {} control block {:#x}", rank, offset);
}

}  // namespace switchyard::sim
