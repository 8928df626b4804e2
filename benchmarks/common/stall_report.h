// Says of the slowest traced operation where its time went: which role ended last, what it waited
// for, and which rank the others waited for most.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "benchmarks/common/trace_spans.h"

namespace switchyard::bench {

/// The slowest operation of one kind.
struct Stall {
  std::string op{};  ///< "dispatch" or "combine"
  std::uint64_t operation = 0;
  int num_traced = 0;          ///< operations of the kind that all ranks' traces hold whole
  bool ended = true;           ///< else a fault ended it
  std::int64_t length_ns = 0;  ///< from the first role's beginning to the last one's end

  // The role that ended last, and its longest wait for a peer; if it had none, that of its rank.
  std::int32_t rank = -1;
  std::int32_t channel = -1;
  std::string role{};
  std::optional<WaitSpan> wait{};
  std::string waiting_role{};  ///< whose wait that is

  // The rank that the others waited for longest, added up over their roles.
  std::int32_t blamed_rank = -1;  ///< -1: nobody waited for a peer
  std::int64_t blamed_ns = 0;
  std::int64_t blamed_late_ns = 0;  ///< its first role began so long after the group's first
};

/// For each kind of operation in the spans of one buffer, the slowest one that no
/// rank's trace has lost a part of. An operation that did not end anywhere is slower than any.
/// Lifetime: names point where those of the spans do
std::vector<Stall> find_stalls(const std::vector<RoleSpan>& spans, int num_ranks);

/// Two lines for people.
std::string to_string(const Stall& stall);

}  // namespace switchyard::bench
