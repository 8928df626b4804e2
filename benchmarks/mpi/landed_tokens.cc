#include "benchmarks/mpi/landed_tokens.h"

#include <algorithm>
#include <cstring>

#include "csrc/protocol/packet.h"

namespace switchyard::bench {

std::size_t TokenNote::bytes(int num_entries) {
  constexpr std::size_t kAlignment = 16;
  const std::size_t used =
      kHeaderBytes + static_cast<std::size_t>(num_entries) * (sizeof(std::int64_t) + sizeof(float));
  return protocol::round_up(used, kAlignment);
}

void TokenNote::write(std::byte* note,
                      int token,
                      std::span<const std::int64_t> experts,
                      std::span<const float> weights) {
  std::memcpy(note, &token, sizeof(token));
  std::memcpy(note + kHeaderBytes, experts.data(), experts.size_bytes());
  std::memcpy(note + kHeaderBytes + experts.size_bytes(), weights.data(), weights.size_bytes());
}

void LandedTokens::clear() {
  experts_.clear();
  first_.assign(1, 0);
}

void LandedTokens::add(const Workload& workload, int rank, const TokenNote& note) {
  const std::size_t first = first_.back();
  const std::int64_t first_expert = std::int64_t{rank} * workload.experts_per_rank();
  for (int k = 0; k < note.num_entries(); ++k) {
    const std::int64_t local = note.expert(k) - first_expert;
    if (local < 0 || local >= workload.experts_per_rank()) {
      continue;
    }
    const auto known =
        std::find_if(experts_.begin() + static_cast<std::ptrdiff_t>(first),
                     experts_.end(),
                     [&](const LandedExpert& other) { return other.local_expert == local; });
    if (known != experts_.end()) {
      known->weight += note.weight(k);
    } else {
      experts_.push_back({0, note.weight(k), static_cast<int>(local)});
    }
  }
  first_.push_back(experts_.size());
}

std::int64_t LandedTokens::place(const Workload& workload, std::span<const int> received) {
  const bool padded = workload.layout == Layout::kPadded;
  const std::int64_t places = workload.places();
  const auto num_experts = static_cast<std::size_t>(workload.experts_per_rank());
  next_.assign(num_experts, 0);
  for (const LandedExpert& expert : experts_) {
    ++next_[static_cast<std::size_t>(expert.local_expert)];
  }
  offsets_.assign(1, 0);
  for (std::size_t expert = 0; expert < num_experts; ++expert) {
    const std::int64_t alignment = workload.expert_alignment;
    const std::int64_t rows = padded ? places * workload.num_ranks
                                     : (next_[expert] + alignment - 1) / alignment * alignment;
    next_[expert] = offsets_.back();
    offsets_.push_back(offsets_.back() + rows);
  }
  std::size_t token = 0;
  for (std::size_t source = 0; source < received.size(); ++source) {
    for (std::size_t expert = 0; padded && expert < num_experts; ++expert) {
      next_[expert] = offsets_[expert] + static_cast<std::int64_t>(source) * places;
    }
    for (const std::size_t end = token + static_cast<std::size_t>(received[source]); token < end;
         ++token) {
      for (std::size_t i = first_[token]; i < first_[token + 1]; ++i) {
        experts_[i].row = next_[static_cast<std::size_t>(experts_[i].local_expert)]++;
      }
    }
  }
  return offsets_.back();
}

}  // namespace switchyard::bench
