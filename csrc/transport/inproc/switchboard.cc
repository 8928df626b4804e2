#include "csrc/transport/inproc/switchboard.h"

#include <thread>

namespace switchyard::transport {

std::uint64_t Switchboard::publish(int rank, std::span<std::byte> memory) {
  auto region = std::make_shared<PublishedRegion>();
  region->base = memory.data();
  region->bytes = memory.size();
  const std::scoped_lock lock(mutex_);
  const std::uint64_t id = num_published_++;
  regions_.emplace(std::pair(rank, id), std::move(region));
  return id;
}

std::shared_ptr<PublishedRegion> Switchboard::find(int rank, std::uint64_t id) {
  const std::scoped_lock lock(mutex_);
  const auto found = regions_.find({rank, id});
  return found == regions_.end() ? nullptr : found->second;
}

void Switchboard::withdraw(int rank, std::uint64_t id) {
  {
    const std::scoped_lock lock(mutex_);
    const auto found = regions_.find({rank, id});
    found->second->is_open.store(false, std::memory_order_seq_cst);
    regions_.erase(found);
  }
  wait_for_visitors(rank);
}

void Switchboard::withdraw_all(int rank) {
  {
    const std::scoped_lock lock(mutex_);
    const auto first = regions_.lower_bound({rank, 0});
    const auto last = regions_.lower_bound({rank + 1, 0});
    for (auto region = first; region != last; ++region) {
      region->second->is_open.store(false, std::memory_order_seq_cst);
    }
    regions_.erase(first, last);
  }
  wait_for_visitors(rank);
}

void Switchboard::wait_for_visitors(int owner) {
  for (const Visit& visit : visits_) {
    // seq_cst against the store in visit(), and acquire for the end of the copy.
    while (visit.owner.load(std::memory_order_seq_cst) == owner) {
      std::this_thread::yield();
    }
  }
}

}  // namespace switchyard::transport
