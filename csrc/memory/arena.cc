#include "csrc/memory/arena.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "csrc/protocol/check.h"

namespace switchyard::memory {
namespace {

/// At least one.
std::uint64_t whole_pages(std::uint64_t bytes) {
  return std::max<std::uint64_t>(1, (bytes + kRegionAlignment - 1) / kRegionAlignment) *
         kRegionAlignment;
}

}  // namespace

Arena::Arena(std::uint64_t begin, std::uint64_t end) {
  SY_CHECK(begin <= end, "an arena ends after it begins");
  SY_CHECK(begin % kRegionAlignment == 0 && end % kRegionAlignment == 0,
           "an arena consists of whole regions");
  if (begin < end) {
    free_.emplace(begin, end - begin);
  }
}

std::optional<std::uint64_t> Arena::allocate(std::uint64_t bytes) {
  if (bytes > std::numeric_limits<std::uint64_t>::max() - kRegionAlignment) {
    return std::nullopt;  // rounding up would wrap to a tiny region
  }
  const std::uint64_t wanted = whole_pages(bytes);
  const std::lock_guard lock(mutex_);
  const auto hole = std::find_if(
      free_.begin(), free_.end(), [wanted](const auto& entry) { return entry.second >= wanted; });
  if (hole == free_.end()) {
    return std::nullopt;
  }
  const auto [offset, hole_bytes] = *hole;
  used_.emplace(offset, wanted);
  free_.erase(hole);
  if (hole_bytes > wanted) {
    free_.emplace(offset + wanted, hole_bytes - wanted);
  }
  used_bytes_ += wanted;
  peak_used_bytes_ = std::max(peak_used_bytes_, used_bytes_);
  return offset;
}

void Arena::trim(std::uint64_t offset, std::uint64_t bytes) {
  const std::uint64_t kept = whole_pages(bytes);
  const std::lock_guard lock(mutex_);
  const auto region = used_.find(offset);
  SY_CHECK(region != used_.end() && kept <= region->second, "a region is trimmed to a part of it");
  const std::uint64_t rest = region->second - kept;
  region->second = kept;
  used_bytes_ -= rest;
  if (rest > 0) {
    add_hole(offset + kept, rest);
  }
}

void Arena::release(std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  const auto region = used_.find(offset);
  SY_CHECK(region != used_.end(), "a region is released once, by its own offset");
  const std::uint64_t bytes = region->second;
  used_.erase(region);
  used_bytes_ -= bytes;
  add_hole(offset, bytes);
}

void Arena::add_hole(std::uint64_t begin, std::uint64_t bytes) {
  const auto next = free_.find(begin + bytes);
  if (next != free_.end()) {
    bytes += next->second;
    free_.erase(next);
  }
  const auto after = free_.lower_bound(begin);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == begin) {
      begin = before->first;
      bytes += before->second;
      free_.erase(before);
    }
  }
  free_.emplace(begin, bytes);
}

std::uint64_t Arena::largest_free_bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t largest = 0;
  for (const auto& [offset, bytes] : free_) {
    largest = std::max(largest, bytes);
  }
  return largest;
}

std::uint64_t Arena::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_bytes_;
}

std::uint64_t Arena::peak_used_bytes() const {
  const std::lock_guard lock(mutex_);
  return peak_used_bytes_;
}

}  // namespace switchyard::memory
