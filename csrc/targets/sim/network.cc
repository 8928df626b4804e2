#include "csrc/targets/sim/network.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace switchyard::sim {

Network::Network(WeakMemory& memory, std::uint64_t seed, const NetworkOptions& options)
    : memory_(memory), options_(options), random_(seed) {}

void Network::put(
    int warp, const Track& track, std::byte* remote, const std::byte* local, std::size_t bytes) {
  memory_.settle(warp, local, bytes);
  memory_.note_read(warp, local, bytes);
  Message message;
  message.track = track;
  message.warp = warp;
  message.to = remote;
  message.source = std::make_shared<RowSource>();
  message.source->bytes.resize(bytes);
  message.source->read = [local, bytes](std::byte* to) { std::memcpy(to, local, bytes); };
  if (random_() % 2 == 0) {
    message.source->read_now();
  }
  memory_.trace(warp, "put", remote, bytes);
  send(std::move(message));
}

void Network::signal(int warp, const Track& track, protocol::Word* counter, protocol::Word value) {
  Message message;
  message.track = track;
  message.warp = warp;
  message.to = reinterpret_cast<std::byte*>(counter);
  message.value = value;
  memory_.trace(warp, "signal", counter, value);
  send(std::move(message));
}

bool Network::is_full(int rank) const {
  const auto num_sent =
      std::count_if(on_their_way_.begin(), on_their_way_.end(), [rank](const Message& message) {
        return message.track.from == rank;
      });
  return options_.max_messages != 0 && static_cast<std::size_t>(num_sent) >= options_.max_messages;
}

bool Network::happens(double probability) {
  return static_cast<double>(random_() >> 11U) * 0x1p-53 < probability;
}

void Network::send(Message message) {
  message.number = sent_[message.track]++;
  message.known = memory_.moment(message.warp);
  memory_.count_effect(message.warp);
  on_their_way_.push_back(std::move(message));
}

bool Network::deliver_one() {
  if (on_their_way_.empty()) {
    return false;
  }
  const std::size_t at = random_() % on_their_way_.size();
  const Message message = on_their_way_[at];
  if (happens(options_.duplicate)) {
    ++num_duplicated_;  // one stays under way
  } else {
    on_their_way_.erase(on_their_way_.begin() + static_cast<std::ptrdiff_t>(at));
    if (happens(options_.lose)) {
      ++num_lost_;
      memory_.trace(message.warp, "  lost:", message.to, message.value);
      return true;
    }
  }
  arrive(message);
  return true;
}

void Network::arrive(const Message& message) {
  Arrivals& there = arrivals_[message.track];
  const bool had = message.number < there.next || there.early.contains(message.number) ||
                   there.held_back.contains(message.number);
  if (had) {
    if (happens(options_.takes_duplicates)) {
      take_effect(message);
    }
    return;
  }
  if (message.source != nullptr || happens(options_.signals_pass_puts)) {
    take_effect(message);
    there.early.insert(message.number);
  } else {
    there.held_back.emplace(message.number, message);
  }
  for (;;) {
    const auto signal = there.held_back.find(there.next);
    if (signal != there.held_back.end()) {
      take_effect(signal->second);
      there.held_back.erase(signal);
    } else if (there.early.erase(there.next) == 0) {
      return;
    }
    ++there.next;
  }
}

void Network::take_effect(const Message& message) {
  if (message.source == nullptr) {
    memory_.arrive_signal(
        message.warp, message.known, reinterpret_cast<protocol::Word*>(message.to), message.value);
    return;
  }
  message.source->read_now();
  memory_.arrive_row(message.warp, message.known, message.to, message.source->bytes);
}

}  // namespace switchyard::sim
