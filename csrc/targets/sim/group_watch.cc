#include "csrc/targets/sim/group_watch.h"

namespace switchyard::sim {

using protocol::Progress;

GroupWatch::GroupWatch(int num_ranks, std::uint64_t timeout_ns, const Clock& clock)
    : timeout_ns_(timeout_ns), clock_(&clock), states_(index(num_ranks)) {}

void GroupWatch::lose(int rank, bool ended) {
  states_[index(rank)].acts = false;
  states_[index(rank)].ended = ended;
  std::erase_if(raises_, [rank](const Raise& each) { return each.raiser == rank; });
}

bool GroupWatch::expired(int rank) const {
  return clock_->now_ns() >= deadline_ns(rank);
}

bool GroupWatch::look(int rank, SimRole& role, std::uint64_t epoch, const WaitOf& wait_of) {
  const int peer = role.wait().peer;
  if (role.done() || peer < 0) {
    return false;
  }
  const bool ended = states_[index(peer)].ended;
  if (!ended && !expired(rank)) {
    return false;
  }
  if (role.step() != Progress::kBlocked) {
    progressed(rank);
    return true;
  }
  if (role.wait().peer != peer) {
    return false;
  }
  if (ended) {
    raise(rank, {ErrorCode::kPeerLost, rank, role.kind(), role.wait(), epoch});
  } else {
    raise(rank,
          targets::follow_waits({ErrorCode::kTimeout, rank, role.kind(), role.wait(), epoch},
                                static_cast<int>(states_.size()),
                                wait_of));
  }
  return true;
}

void GroupWatch::raise(int raiser, const targets::Fault& fault) {
  raises_.push_back({raiser, fault});
  raised_.push_back(fault);
}

bool GroupWatch::write_one(std::mt19937_64& random) {
  if (raises_.empty()) {
    return false;
  }
  const auto at = static_cast<std::ptrdiff_t>(random() % raises_.size());
  Raise& raise = raises_[static_cast<std::size_t>(at)];
  std::optional<targets::Fault>& record = states_[raise.next].fault;
  if (!record) {
    record = raise.fault;
  } else if (raise.next == 0 && rank0_decides_) {
    raise.fault = *record;
  }
  if (++raise.next == states_.size()) {
    raises_.erase(raises_.begin() + at);
  }
  return true;
}

}  // namespace switchyard::sim
