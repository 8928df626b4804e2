#include "csrc/transport/gid_choice.h"

#include <gtest/gtest.h>

#include <vector>

namespace switchyard::transport {
namespace {

Gid ipv4(int index, GidType type, std::uint8_t first, std::uint8_t second) {
  return {index, type, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, first, second, 0, 1}};
}
Gid ipv6(int index, GidType type, std::uint8_t first, std::uint8_t second) {
  return {index, type, {first, second, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
}

TEST(GidChoice, TakesTheRoutableAddressOfTheNewestRoce) {
  // As a mlx5 port shows them: each address once for v1, once for v2.
  const std::vector<Gid> table = {ipv6(0, GidType::kRoceV1, 0xfe, 0x80),
                                  ipv6(1, GidType::kRoceV2, 0xfe, 0x80),
                                  ipv4(2, GidType::kRoceV1, 10, 0),
                                  ipv4(3, GidType::kRoceV2, 10, 0),
                                  ipv6(4, GidType::kRoceV2, 0x20, 0x01)};
  EXPECT_EQ(choose_gid(table)->index, 3);
}

TEST(GidChoice, PrefersAnyGlobalAddressToOneThatThePortGaveItself) {
  EXPECT_EQ(choose_gid(std::vector{ipv4(0, GidType::kRoceV2, 169, 254),
                                   ipv6(1, GidType::kRoceV2, 0xfe, 0x80),
                                   ipv6(2, GidType::kRoceV2, 0x20, 0x01)})
                ->index,
            2);
  EXPECT_EQ(choose_gid(std::vector{ipv6(0, GidType::kRoceV2, 0xfe, 0x80),
                                   ipv4(1, GidType::kRoceV1, 10, 0)})
                ->index,
            0);
}

TEST(GidChoice, TakesTheLowestIndexAmongEquals) {
  EXPECT_EQ(
      choose_gid(std::vector{ipv4(7, GidType::kRoceV2, 10, 1), ipv4(5, GidType::kRoceV2, 10, 2)})
          ->index,
      5);
  EXPECT_EQ(choose_gid(std::vector{ipv6(0, GidType::kInfiniBand, 0xfe, 0x80)})->index, 0);
  EXPECT_FALSE(choose_gid({}).has_value());
}

}  // namespace
}  // namespace switchyard::transport
