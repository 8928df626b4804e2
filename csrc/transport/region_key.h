// The bytes by which a rank lets a peer write into one of its regions: a header of ours, then
// whatever the backend needs (a packed rkey, say). They come from another process: everything here
// is checked before it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "csrc/transport/transport.h"
#include "csrc/transport/transport_kind.h"
#include "switchyard/bootstrap.h"

namespace switchyard::transport {

/// Whose key it is. A key fits one rank, in one group, over one backend.
struct KeyOwner {
  TransportKind kind = TransportKind::kAuto;
  int rank = -1;
  std::uint64_t group = 0;  ///< a random number that the group agreed on (agree_on_group)
};

/// Where the region lies in its owner's address space. `id` numbers the owner's regions.
struct KeyedRegion {
  std::uint64_t base = 0;
  std::uint64_t bytes = 0;
  std::uint64_t id = 0;
};

struct RegionKey {
  KeyedRegion region;
  std::vector<std::byte> details;  ///< the backend's part
};

std::vector<std::byte> pack_key(const KeyOwner& owner, const RegionKey& key);

/// Errors: InvalidArgument saying what differs, unless `bytes` is a whole key of `owner`
RegionKey unpack_key(const KeyOwner& owner, std::span<const std::byte> bytes);

/// The number that tells this group's keys from those of any other. Collective.
std::uint64_t agree_on_group(Bootstrap& bootstrap);

/// Every rank's bytes, of any length each, in rank order. Collective.
/// Errors: BootstrapError naming a rank whose length is above `max_bytes`
std::vector<std::vector<std::byte>> gather_bytes(Bootstrap& bootstrap,
                                                 std::span<const std::byte> mine,
                                                 std::uint64_t max_bytes);

/// Every rank's key of the region it names, in rank order, ready for attach_region. Collective.
std::vector<std::vector<std::byte>> gather_keys(Bootstrap& bootstrap,
                                                const Transport& transport,
                                                int region_idx);

}  // namespace switchyard::transport
