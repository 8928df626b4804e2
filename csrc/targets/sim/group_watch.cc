#include "csrc/targets/sim/group_watch.h"

namespace switchyard::sim {

using protocol::Progress;

GroupWatch::GroupWatch(int num_ranks, std::uint64_t timeout_ns, const Clock& clock)
    : timeout_ns_(timeout_ns), clock_(&clock), states_(index(num_ranks)) {}

void GroupWatch::lose(int rank, bool ended) {
  states_[index(rank)].acts = false;
  states_[index(rank)].ended = ended;
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
    raise({ErrorCode::kPeerLost, rank, role.kind(), role.wait(), epoch});
  } else {
    raise(targets::follow_waits({ErrorCode::kTimeout, rank, role.kind(), role.wait(), epoch},
                                static_cast<int>(states_.size()),
                                wait_of));
  }
  return true;
}

void GroupWatch::raise(const targets::Fault& fault) {
  for (std::size_t rank = 0; rank < states_.size(); ++rank) {
    if (static_cast<int>(rank) == fault.reporter) {
      // Its own board is the first that it can see.
      states_[rank].fault = states_[rank].fault.value_or(fault);
    } else {
      on_their_way_.push_back({static_cast<int>(rank), fault});
    }
  }
}

bool GroupWatch::deliver_one(std::mt19937_64& random) {
  if (on_their_way_.empty()) {
    return false;
  }
  const auto at = static_cast<std::ptrdiff_t>(random() % on_their_way_.size());
  const Message message = on_their_way_[static_cast<std::size_t>(at)];
  on_their_way_.erase(on_their_way_.begin() + at);
  auto& there = states_[index(message.to)].fault;
  there = there.value_or(message.fault);
  return true;
}

}  // namespace switchyard::sim
