// Region keys of peers: any bytes, keys with any fields, and whole keys with one byte changed.
#include "csrc/transport/region_key.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>

#include "switchyard/error.h"
#include "tests/fuzz/fuzz_input.h"

using switchyard::fuzz::expect;
using switchyard::fuzz::FuzzInput;
namespace transport = switchyard::transport;

namespace {

/// Nothing where the key is refused, with a text.
std::optional<transport::RegionKey> unpack(const transport::KeyOwner& owner,
                                           std::span<const std::byte> bytes) {
  try {
    return transport::unpack_key(owner, bytes);
  } catch (const switchyard::InvalidArgument& error) {
    expect(!std::string(error.what()).empty(), "a refusal says why");
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const transport::KeyOwner owner{
      .kind = transport::TransportKind::kUcx, .rank = 3, .group = 0x1234};
  if (input.flip()) {
    const auto raw = input.bytes(input.size());
    if (const auto key = unpack(owner, raw)) {
      const auto again = transport::pack_key(owner, *key);
      expect(std::equal(again.begin(), again.end(), raw.begin(), raw.end()),
             "a key was taken that nobody packs so");
    }
    return 0;
  }
  transport::RegionKey key;
  key.region = {.base = input.number<std::uint64_t>(),
                .bytes = input.number<std::uint64_t>(),
                .id = input.number<std::uint64_t>()};
  const std::size_t changed = input.number<std::uint16_t>();
  const auto change = static_cast<std::byte>(input.number<std::uint8_t>());
  const auto details = input.bytes(input.size());
  key.details.assign(details.begin(), details.end());
  auto bytes = transport::pack_key(owner, key);
  const bool fits = key.region.bytes <= ~std::uint64_t{0} - key.region.base;
  const auto back = unpack(owner, bytes);
  expect(back.has_value() == fits, "a region behind the last address was taken, or a good one not");
  if (back) {
    expect(back->region.base == key.region.base && back->region.bytes == key.region.bytes &&
               back->region.id == key.region.id && back->details == key.details,
           "a key came back changed");
  }
  if (change != std::byte{}) {
    bytes[changed % bytes.size()] ^= change;
    expect(!unpack(owner, bytes).has_value(), "a changed key was taken");
  }
  return 0;
}
