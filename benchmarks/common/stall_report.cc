#include "benchmarks/common/stall_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace switchyard::bench {
namespace {

constexpr double kNsPerUs = 1e3;

// All roles of one operation.
class OperationSpans {
 public:
  void add(const RoleSpan& span) {
    spans_.push_back(&span);
    ranks_.insert(span.rank);
    begin_ns_ = std::min(begin_ns_, span.begin_ns);
    end_ns_ = std::max(end_ns_, span.end_ns);
    saw_begin_ = saw_begin_ && span.saw_begin;
    ended_ = ended_ && span.ended;
  }

  /// No rank is missing, and nothing of it was overwritten.
  [[nodiscard]] bool comparable(int num_ranks) const {
    return saw_begin_ && ranks_.size() == static_cast<std::size_t>(num_ranks);
  }
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] std::int64_t length_ns() const { return end_ns_ - begin_ns_; }

  [[nodiscard]] const RoleSpan& last_to_end() const {
    // Of an operation that did not end, the role that waited longest; else the latest.
    const auto key = [this](const RoleSpan* span) {
      const WaitSpan* wait = longest_wait(span->rank, span).second;
      const std::int64_t waited_ns = wait == nullptr ? 0 : wait->length_ns();
      return std::make_pair(!span->ended, span->ended ? span->end_ns : waited_ns);
    };
    return **std::max_element(
        spans_.begin(), spans_.end(), [&key](const RoleSpan* a, const RoleSpan* b) {
          return key(a) < key(b);
        });
  }

  /// The longest wait for a peer of the roles of `rank`, or of one of them.
  [[nodiscard]] std::pair<const RoleSpan*, const WaitSpan*> longest_wait(
      std::int32_t rank, const RoleSpan* only) const {
    std::pair<const RoleSpan*, const WaitSpan*> longest{nullptr, nullptr};
    for (const RoleSpan* span : spans_) {
      if (span->rank != rank || (only != nullptr && span != only)) {
        continue;
      }
      for (const WaitSpan& wait : span->waits) {
        const bool longer =
            longest.second == nullptr || wait.length_ns() > longest.second->length_ns();
        if (wait.peer >= 0 && wait.peer != rank && longer) {
          longest = {span, &wait};
        }
      }
    }
    return longest;
  }

  void blame(Stall& stall) const {
    std::map<std::int32_t, std::int64_t> waited_for;
    for (const RoleSpan* span : spans_) {
      for (const WaitSpan& wait : span->waits) {
        if (wait.peer >= 0 && wait.peer != span->rank) {
          waited_for[wait.peer] += wait.length_ns();
        }
      }
    }
    for (const auto& [rank, ns] : waited_for) {
      if (ns > stall.blamed_ns) {
        stall.blamed_rank = rank;
        stall.blamed_ns = ns;
      }
    }
    std::int64_t began_ns = std::numeric_limits<std::int64_t>::max();
    for (const RoleSpan* span : spans_) {
      if (span->rank == stall.blamed_rank) {
        began_ns = std::min(began_ns, span->begin_ns);
      }
    }
    stall.blamed_late_ns = stall.blamed_rank < 0 ? 0 : began_ns - begin_ns_;
  }

 private:
  std::vector<const RoleSpan*> spans_;
  std::set<std::int32_t> ranks_;
  std::int64_t begin_ns_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t end_ns_ = std::numeric_limits<std::int64_t>::min();
  bool saw_begin_ = true;
  bool ended_ = true;
};

Stall describe(const OperationSpans& operation) {
  const RoleSpan& last = operation.last_to_end();
  Stall stall{.op = last.op,
              .operation = last.operation,
              .ended = operation.ended(),
              .length_ns = operation.length_ns(),
              .rank = last.rank,
              .channel = last.channel,
              .role = last.role};
  auto longest = operation.longest_wait(last.rank, &last);
  if (longest.second == nullptr) {
    longest = operation.longest_wait(last.rank, nullptr);
  }
  if (longest.second != nullptr) {
    stall.wait = *longest.second;
    stall.waiting_role = longest.first->role;
  }
  operation.blame(stall);
  return stall;
}

}  // namespace

std::vector<Stall> find_stalls(const std::vector<RoleSpan>& spans, int num_ranks) {
  std::map<std::pair<std::string, std::uint64_t>, OperationSpans> operations;
  for (const RoleSpan& span : spans) {
    operations[{span.op, span.operation}].add(span);
  }
  struct Slowest {
    const OperationSpans* operation = nullptr;
    int num_traced = 0;
  };
  std::map<std::string, Slowest, std::greater<>> by_op;  // dispatch before combine
  for (const auto& [key, operation] : operations) {
    // A rank that never came to an operation is the reason that it did not end.
    if (!operation.comparable(num_ranks) && operation.ended()) {
      continue;
    }
    Slowest& slowest = by_op[key.first];
    ++slowest.num_traced;
    const auto weight = [](const OperationSpans& each) {
      return std::make_pair(!each.ended(), each.length_ns());
    };
    if (slowest.operation == nullptr || weight(operation) > weight(*slowest.operation)) {
      slowest.operation = &operation;
    }
  }
  std::vector<Stall> stalls;
  for (const auto& [op, slowest] : by_op) {
    stalls.push_back(describe(*slowest.operation));
    stalls.back().num_traced = slowest.num_traced;
  }
  return stalls;
}

std::string to_string(const Stall& stall) {
  const auto us = [](std::int64_t ns) {
    return fmt::format("{:.1f} us", static_cast<double>(ns) / kNsPerUs);
  };
  std::string text =
      fmt::format("{} {}, the slowest of {} traced: {}. {}: rank {}, {} of channel {}",
                  stall.op,
                  stall.operation,
                  stall.num_traced,
                  us(stall.length_ns),
                  stall.ended ? "Last to end" : "It did not end; stuck",
                  stall.rank,
                  stall.role,
                  stall.channel);
  if (stall.wait) {
    text += fmt::format(", {} {} for rank {}: {}",
                        stall.waiting_role == stall.role
                            ? std::string("which waited")
                            : fmt::format("whose rank's {} waited", stall.waiting_role),
                        us(stall.wait->length_ns()),
                        stall.wait->peer,
                        stall.wait->waits_for);
  } else {
    text += ", whose rank waited for no other";
  }
  text += "\n";
  if (stall.blamed_rank >= 0) {
    text +=
        fmt::format("  most waited for: rank {}, {} over all roles; it began {} after the first\n",
                    stall.blamed_rank,
                    us(stall.blamed_ns),
                    us(stall.blamed_late_ns));
  }
  return text;
}

}  // namespace switchyard::bench
