// What a role tells the loop that runs it: how far a step came, and, when it is blocked, what it
// waits for.
#pragma once

#include <cstdint>

namespace switchyard::protocol {

enum class Progress : std::uint8_t {
  kAdvanced,  ///< did something; step again
  kBlocked,   ///< can do nothing until memory changes; WaitPoint says what
  kDone,      ///< will never do anything again
};

enum class RoleKind : std::uint8_t {
  kCountExchange,
  kScaleUpSend,
  kScaleUpReceive,
  kCombineAnnounce,
  kCombineCopyIn,
  kCombineAccumulate,
  kNodeRelay,
  kScaleOutSend,
  kForward,
  kForwardAccumulate,
  kReceiveAccumulate,
};

constexpr const char* role_name(RoleKind kind) {
  switch (kind) {
    case RoleKind::kCountExchange:
      return "count exchange";
    case RoleKind::kScaleUpSend:
      return "scale-up send";
    case RoleKind::kScaleUpReceive:
      return "scale-up receive";
    case RoleKind::kCombineAnnounce:
      return "combine announce";
    case RoleKind::kCombineCopyIn:
      return "combine copy-in";
    case RoleKind::kCombineAccumulate:
      return "combine accumulate";
    case RoleKind::kNodeRelay:
      return "node relay";
    case RoleKind::kScaleOutSend:
      return "scale-out send";
    case RoleKind::kForward:
      return "forward";
    case RoleKind::kForwardAccumulate:
      return "forward and accumulate";
    case RoleKind::kReceiveAccumulate:
      return "receive and accumulate";
  }
  return "unknown role";
}

/// What a blocked role waits for, in the order of an operation's steps. `peer` is the rank that must act, or -1 when another role of this
/// rank must.
enum class WaitKind : std::uint8_t {
  kNothing,
  kNetwork,    ///< this rank's own way to the network, which is full
  kNodeHello,  ///< what a rank of another node has for this one
  kCounts,     ///< hello of a dispatch: counts
  kAnswer,     ///< where this rank's rows go
  kVerdict,    ///< whether another node takes this rank's rows
  kPermit,     ///< leave to write into the padded region
  kAnnounce,   ///< hello of a combine: where the expert outputs lie
  kCredit,     ///< room in a track to another node
  kPackets,    ///< packets from another node
  kRows,       ///< arrival of a source's rows
  kSums,       ///< sums from another node
  kConsumers,  ///< peers reading this rank's expert outputs
  kLocalRole,  ///< an earlier stage of this rank
};

constexpr const char* wait_name(WaitKind kind) {
  switch (kind) {
    case WaitKind::kNothing:
      return "nothing";
    case WaitKind::kCounts:
      return "its row counts";
    case WaitKind::kAnswer:
      return "its placement answer";
    case WaitKind::kPermit:
      return "its permit to write padded rows";
    case WaitKind::kRows:
      return "the arrival of its rows";
    case WaitKind::kAnnounce:
      return "the announcement of its expert outputs";
    case WaitKind::kConsumers:
      return "it to read this rank's expert outputs";
    case WaitKind::kLocalRole:
      return "an earlier stage of this rank";
    case WaitKind::kNodeHello:
      return "its hello to this node";
    case WaitKind::kVerdict:
      return "its node's verdict";
    case WaitKind::kPackets:
      return "its packets";
    case WaitKind::kSums:
      return "its sums";
    case WaitKind::kCredit:
      return "it to make room in its track";
    case WaitKind::kNetwork:
      return "room on the way to the network";
  }
  return "unknown";
}

struct WaitPoint {
  WaitKind kind = WaitKind::kNothing;
  std::int32_t peer = -1;
  std::int32_t channel = -1;  ///< of the waiting role
  std::uint64_t expected =
      0;  ///< mailbox word waited for: tag in the upper half, value (where known) in the lower
  std::uint64_t seen = 0;  ///< what it held at the last look
};

/// Of a role that found the way to the network full.
constexpr WaitPoint network_wait(std::int32_t channel) {
  return {WaitKind::kNetwork, -1, channel, 0, 0};
}

}  // namespace switchyard::protocol
