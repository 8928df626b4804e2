// How a route encodes the top-k entries of a token in single bytes. Shared with device code.
#pragma once

#include <cstdint>

namespace switchyard::routing {

/// Marks the last term of a rank's group in Route::terms; the low bits are the top-k position.
inline constexpr std::uint8_t kClosesGroup = 0x80;
/// Route::opener of an entry that names no expert.
inline constexpr std::uint8_t kNoOpener = 0xff;

}  // namespace switchyard::routing
