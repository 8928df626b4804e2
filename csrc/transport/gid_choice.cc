#include "csrc/transport/gid_choice.h"

#include <algorithm>
#include <tuple>

namespace switchyard::transport {
namespace {

int rank_of_type(GidType type) {
  return type == GidType::kRoceV1 ? 1 : 0;
}

int rank_of_address(const Gid& gid) {
  constexpr std::array<std::uint8_t, 12> kIpv4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(kIpv4Prefix.begin(), kIpv4Prefix.end(), gid.bytes.begin())) {
    // 169.254.x.x is what a port gives itself when nobody gave it an address.
    const bool is_link_local = gid.bytes[12] == 169 && gid.bytes[13] == 254;
    return is_link_local ? 2 : 0;
  }
  const bool is_link_local = gid.bytes[0] == 0xfe && (gid.bytes[1] & 0xc0) == 0x80;
  return is_link_local ? 3 : 1;
}

}  // namespace

std::optional<Gid> choose_gid(std::span<const Gid> table) {
  const auto best = std::min_element(table.begin(), table.end(), [](const Gid& a, const Gid& b) {
    const auto key = [](const Gid& gid) {
      return std::tuple(rank_of_type(gid.type), rank_of_address(gid), gid.index);
    };
    return key(a) < key(b);
  });
  return best == table.end() ? std::nullopt : std::optional(*best);
}

}  // namespace switchyard::transport
