// Counts and row numbers, signed as MPI has them, as sizes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace switchyard::bench {

constexpr std::size_t to_size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

}  // namespace switchyard::bench
