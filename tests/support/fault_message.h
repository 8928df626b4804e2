// Who waited for whom, at which step, as PeerLost and Timeout say it.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "csrc/protocol/progress.h"
#include "switchyard/layout.h"

namespace switchyard::test {

struct FaultMessage {
  int reporter = -1;  ///< as is `peer`: among the group's ranks
  std::string role;
  int operation = 0;
  std::string step;
  int peer = -1;

  static constexpr std::string_view kHere = " (this rank)";

  static std::optional<FaultMessage> read(const std::string& message) {
    // "... rank 2 (this rank), scale-up receive of channel 0, operation 7: waited for the arrival
    // of its rows from rank 1 ..."
    std::string_view rest = message;
    FaultMessage read;
    const std::string_view head = take_until(rest, " of channel ");
    const std::size_t comma = head.rfind(", ");
    const bool here = head.substr(0, comma).ends_with(kHere);
    const std::size_t reporter = head.substr(0, here ? comma - kHere.size() : comma).rfind("rank ");
    (void)take_until(rest, ", operation ");
    const std::string_view operation = take_until(rest, ": waited for ");
    const std::string_view step = take_until(rest, " from rank ");
    if (comma == std::string_view::npos || reporter == std::string_view::npos || step.empty()) {
      return std::nullopt;
    }
    read.role = head.substr(comma + 2);
    read.step = step;
    const bool numbers = number(head.substr(reporter + 5), read.reporter) &&
                         number(operation, read.operation) && number(rest, read.peer);
    return numbers ? std::optional(read) : std::nullopt;
  }

  [[nodiscard]] std::string text() const {
    return std::to_string(reporter) + " " + role + " " + std::to_string(operation) + " " + step +
           " " + std::to_string(peer);
  }

  [[nodiscard]] bool is(protocol::RoleKind kind, protocol::WaitKind wait) const {
    return role == protocol::role_name(kind) && step == protocol::wait_name(wait);
  }
  /// Whether a dispatch of that layout has such a step.
  [[nodiscard]] bool is_step_of_dispatch(Layout layout) const {
    using protocol::RoleKind;
    using protocol::WaitKind;
    const WaitKind leave = layout == Layout::kPadded ? WaitKind::kPermit : WaitKind::kAnswer;
    return is(RoleKind::kCountExchange, WaitKind::kCounts) || is(RoleKind::kCountExchange, leave) ||
           is(RoleKind::kScaleUpReceive, WaitKind::kRows);
  }
  [[nodiscard]] bool is_step_of_combine() const {
    using protocol::RoleKind;
    using protocol::WaitKind;
    return is(RoleKind::kCombineAnnounce, WaitKind::kAnnounce) ||
           is(RoleKind::kCombineAnnounce, WaitKind::kConsumers);
  }

 private:
  /// What stands before `mark`; `rest` becomes what stands behind it, nothing where there is none.
  static std::string_view take_until(std::string_view& rest, std::string_view mark) {
    const std::size_t at = rest.find(mark);
    const std::string_view taken = rest.substr(0, at == std::string_view::npos ? 0 : at);
    rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + mark.size());
    return taken;
  }
  static bool number(std::string_view text, int& value) {
    return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{};
  }
};

}  // namespace switchyard::test
