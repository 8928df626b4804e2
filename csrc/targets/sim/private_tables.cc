#include "csrc/targets/sim/private_tables.h"

#include <cstring>

namespace switchyard::sim {

void PrivateTables::add_bytes(std::byte* begin, std::size_t bytes) {
  ranges_.push_back({begin, bytes, truth_.size()});
  truth_.insert(truth_.end(), begin, begin + bytes);
  first_ = truth_;
}

std::vector<std::byte> PrivateTables::read() const {
  std::vector<std::byte> bytes(truth_.size());
  for (const Range& range : ranges_) {
    std::memcpy(bytes.data() + range.at, range.begin, range.bytes);
  }
  return bytes;
}

void PrivateTables::show(const std::vector<std::byte>& bytes) const {
  for (const Range& range : ranges_) {
    std::memcpy(range.begin, bytes.data() + range.at, range.bytes);
  }
}

void PrivateTables::enter(int warp) {
  const std::vector<std::byte> now = read();
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] != truth_[i]) {  // by the caller, who needs no release
      truth_[i] = first_[i] = now[i];
      for (auto& [other, view] : views_) {
        view.bytes[i] = now[i];
      }
    }
  }
  View& view = views_[warp];
  if (view.bytes.empty()) {
    view.bytes = first_;
  }
  view.seen.resize(writes_.size());
  for (std::size_t i = 0; i < writes_.size(); ++i) {
    const Write& write = writes_[i];
    if (!view.seen[i] && memory_->knows(warp, write.warp, write.time)) {
      view.bytes[write.at] = write.value;
      view.seen[i] = true;
    }
  }
  entered_ = memory_->next_moment();
  show(view.bytes);
}

void PrivateTables::leave(int warp) {
  View& view = views_[warp];
  const std::vector<std::byte> now = read();
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] != view.bytes[i]) {
      writes_.push_back({warp, entered_, i, now[i]});
      truth_[i] = now[i];
    }
  }
  view.bytes = now;
  view.seen.resize(writes_.size(), true);
  show(truth_);
}

}  // namespace switchyard::sim
