// Which of a RoCE port's addresses (GIDs) packets leave from. The wrong one connects to nobody, or
// to the wrong network; so the choice is a function of the table alone, and tested.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace switchyard::transport {

enum class GidType : std::uint8_t { kInfiniBand, kRoceV1, kRoceV2 };

struct Gid {
  int index = -1;
  GidType type = GidType::kInfiniBand;
  std::array<std::uint8_t, 16> bytes{};  ///< an IPv6 address; IPv4 as ::ffff:a.b.c.d
};

/// RoCE v2 before v1, since only v2 is routed and it is what switches are set up for; then IPv4,
/// then a global IPv6 address, then a link-local one; then the lowest index. InfiniBand has its one
/// kind. Nothing when the table is empty.
std::optional<Gid> choose_gid(std::span<const Gid> table);

}  // namespace switchyard::transport
