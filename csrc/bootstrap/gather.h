// Typed rendezvous: one plain struct from every rank. The values come from other processes: check
// before use.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

#include "switchyard/bootstrap.h"

namespace switchyard::bootstrap {

/// What every rank contributed, in rank order. Called by: one thread of every rank.
template <class T>
requires std::is_trivially_copyable_v<T> std::vector<T> gather_values(Bootstrap& bootstrap,
                                                                      const T& mine) {
  std::vector<T> all(static_cast<std::size_t>(bootstrap.num_ranks()));
  bootstrap.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

}  // namespace switchyard::bootstrap
