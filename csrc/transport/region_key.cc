#include "csrc/transport/region_key.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "csrc/bootstrap/gather.h"
#include "switchyard/error.h"

namespace switchyard::transport {
namespace {

constexpr std::uint64_t kMagic = 0x31'79'65'6b'2d'79'73'73;  // "ssy-key1" in memory order
constexpr std::uint64_t kMaxDetailBytes = 1 << 16;

/// Every field is 64 bits wide: no padding, nothing uninitialised travels.
struct Header {
  std::uint64_t magic = kMagic;
  std::uint64_t kind = 0;
  std::uint64_t rank = 0;
  std::uint64_t group = 0;
  std::uint64_t base = 0;
  std::uint64_t region_bytes = 0;
  std::uint64_t region_id = 0;
  std::uint64_t detail_bytes = 0;
  std::array<unsigned char, 32> digest{};  ///< of the header with zeroes here, then the details
};
static_assert(sizeof(Header) == 8 * sizeof(std::uint64_t) + 32);

/// Finds damage and mix-ups, not malice: who knows the job's secret can make any key.
std::array<unsigned char, 32> digest_of(Header header, std::span<const std::byte> details) {
  header.digest = {};
  std::array<unsigned char, 32> digest{};
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, digest.size());
  crypto_generichash_update(
      &state, reinterpret_cast<const unsigned char*>(&header), sizeof(header));
  crypto_generichash_update(
      &state, reinterpret_cast<const unsigned char*>(details.data()), details.size());
  crypto_generichash_final(&state, digest.data(), digest.size());
  return digest;
}

template <class Got, class Wanted>
void check_same(const char* what, const Got& got, const Wanted& wanted) {
  if (got != wanted) {
    throw InvalidArgument(
        fmt::format("region key: {} is {}, wanted {}; attach the key that this peer gave in this "
                    "group, unchanged",
                    what,
                    got,
                    wanted));
  }
}

}  // namespace

std::vector<std::byte> pack_key(const KeyOwner& owner, const RegionKey& key) {
  Header header{.kind = static_cast<std::uint64_t>(owner.kind),
                .rank = static_cast<std::uint64_t>(owner.rank),
                .group = owner.group,
                .base = key.region.base,
                .region_bytes = key.region.bytes,
                .region_id = key.region.id,
                .detail_bytes = key.details.size()};
  header.digest = digest_of(header, key.details);
  std::vector<std::byte> bytes(sizeof(header) + key.details.size());
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::copy(key.details.begin(),
            key.details.end(),
            bytes.begin() + static_cast<std::ptrdiff_t>(sizeof(header)));
  return bytes;
}

RegionKey unpack_key(const KeyOwner& owner, std::span<const std::byte> bytes) {
  Header header;
  if (bytes.size() < sizeof(header)) {
    throw InvalidArgument(
        fmt::format("region key: got {} bytes, wanted at least {}", bytes.size(), sizeof(header)));
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  const auto details = bytes.subspan(sizeof(header));
  check_same("its first word", header.magic, kMagic);
  check_same("its backend", header.kind, static_cast<std::uint64_t>(owner.kind));
  check_same("its rank", header.rank, static_cast<std::uint64_t>(owner.rank));
  check_same("its group", header.group, owner.group);
  check_same("the length of its details", header.detail_bytes, details.size());
  if (header.digest != digest_of(header, details)) {
    throw InvalidArgument("region key: its digest does not fit; it was damaged on its way");
  }
  if (header.region_bytes > std::numeric_limits<std::uint64_t>::max() - header.base) {
    throw InvalidArgument(fmt::format("region key: {} bytes at address {} end behind the last one",
                                      header.region_bytes,
                                      header.base));
  }
  return {.region = {.base = header.base, .bytes = header.region_bytes, .id = header.region_id},
          .details = {details.begin(), details.end()}};
}

std::uint64_t agree_on_group(Bootstrap& bootstrap) {
  std::uint64_t mine = 0;
  randombytes_buf(&mine, sizeof(mine));
  return bootstrap::gather_values(bootstrap, mine).front();
}

std::vector<std::vector<std::byte>> gather_bytes(Bootstrap& bootstrap,
                                                 std::span<const std::byte> mine,
                                                 std::uint64_t max_bytes) {
  const auto lengths = bootstrap::gather_values(bootstrap, std::uint64_t{mine.size()});
  for (std::size_t rank = 0; rank < lengths.size(); ++rank) {
    if (lengths[rank] > max_bytes) {
      throw BootstrapError(
          fmt::format("rank {} announces {} bytes, wanted at most {}; do all "
                      "ranks run the same version?",
                      rank,
                      lengths[rank],
                      max_bytes));
    }
  }
  const std::uint64_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::byte> padded(mine.begin(), mine.end());
  padded.resize(longest);
  std::vector<std::byte> all(longest * lengths.size());
  bootstrap.all_gather(padded, all);
  std::vector<std::vector<std::byte>> bytes_of_rank;
  bytes_of_rank.reserve(lengths.size());
  for (std::size_t rank = 0; rank < lengths.size(); ++rank) {
    const std::byte* begin = all.data() + rank * longest;
    bytes_of_rank.emplace_back(begin, begin + lengths[rank]);
  }
  return bytes_of_rank;
}

std::vector<std::vector<std::byte>> gather_keys(Bootstrap& bootstrap,
                                                const Transport& transport,
                                                int region_idx) {
  return gather_bytes(bootstrap, transport.region_key(region_idx), kMaxDetailBytes);
}

}  // namespace switchyard::transport
